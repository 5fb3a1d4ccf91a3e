// The client of docs/api/write-a-client.md at work: `node tour.js ADDRESS PAIRS`, three pairs of tokens whose access
// token has expired. What is sent to the service is noted and left as it is.
import { all, answered, connect, edit, openTasks, Refused, type Api, type Store, type Tokens } from "./client.js";
import { same } from "./checks.js";

declare const process: { argv: string[] };

const address = process.argv[2]!;
const [one, two, spent] = JSON.parse(process.argv[3]!) as [Tokens, Tokens, Tokens];

const sent: string[] = [];
const send = globalThis.fetch;
globalThis.fetch = async (request) => {
  const { method, url } = request as Request;
  const place = sent.push(`${method} ${new URL(url).pathname.replace("/api/v1", "")}`) - 1;
  const response = await send(request);
  sent[place] += ` ${response.status}`;
  return response;
};
const count = (pattern: RegExp) => sent.filter((line) => pattern.test(line)).length;

function storeOf(tokens: Tokens | null): Store {
  return { read: () => tokens, write: (next) => void (tokens = next) };
}

const projects = async (api: Api) => answered(await api.GET("/api/v1/projects/")).items;

// An access token has expired: several requests at once wait for one refresh, and all are answered.
const store = storeOf(one);
const api = connect(address, store);
await Promise.all([projects(api), projects(api), projects(api)]);
same(count(/refresh 200/), 1);
same(store.read()!.access_token === one.access_token, false);

// Two tabs without a common store refresh at the same moment: both go on, with the same next refresh token.
const tabs = [storeOf(two), storeOf(two)];
await Promise.all(tabs.map((tab) => projects(connect(address, tab))));
same(count(/refresh 200/), 3);
same(tabs[0]!.read()!.refresh_token, tabs[1]!.read()!.refresh_token);

// With a common store, the tab that comes later finds what the first one wrote.
const late = { ...store, read: () => (late.read = store.read, one) };
await projects(connect(address, late));
same(count(/refresh 200/), 3);

// A session that has ended is told from an expired token: sign in again.
const ended = storeOf(spent);
same((await connect(address, ended).GET("/api/v1/projects/")).error?.code, "invalid_token");
same(ended.read(), null);
await connect(address, ended).signIn("admin", "1234");
same((await projects(connect(address, ended))).length, 0);

// A connection is cut behind the request: sent again, it is done once.
const project = answered(await api.POST("/api/v1/projects/", { body: { name: "Workshop" } }));
const params = { path: { project_id: project.id } };
const add = async (title: string) =>
  answered(await api.POST("/api/v1/projects/{project_id}/tasks/", { params, body: { title } }));
const task = await add("cut here");
same(count(/^POST \/projects\/.+\/tasks\/$/), 1);
same(answered(await api.GET("/api/v1/projects/{project_id}", { params })).tasks_total, 1);

// Others change the task: what they changed is kept, and the same member is not overwritten.
const theirs = async (body: { title: string }) =>
  answered(await api.PATCH("/api/v1/tasks/{task_id}", { params: { path: { task_id: task.id } }, body }));
await theirs({ title: "Oil the bench" });
const merged = await edit(api, task, { priority: 5, due_date: "2026-12-01" });
same([merged.title, merged.priority, merged.due_date], ["Oil the bench", 5, "2026-12-01"]);
same(count(/^PATCH .+ 412/), 1);
await theirs({ title: "Oil the saw" });
const refused = await edit(api, merged, { title: "Oil it" }).catch((error: Refused) => error.problem.code);
same(refused, "precondition_failed");

// A list in pages.
await Promise.all(["1", "2", "3", "4", "5", "6"].map(add));
const before = count(/^GET .+tasks\/ 200/);
const titles: string[] = [];
const pages = async (cursor: string) =>
  answered(await api.GET("/api/v1/projects/{project_id}/tasks/", { params: { ...params, query: { cursor, size: 3 } } }));
for await (const item of all(pages)) titles.push(item.title);
same(titles.sort(), ["1", "2", "3", "4", "5", "6", "Oil the saw"]);
same(count(/^GET .+tasks\/ 200/) - before, 3);
let open = 0;
for await (const item of openTasks(api)) open += Number(!item.completed);
same(open, 7);

// Too many requests: those that are refused wait as they are told, and all are answered.
while (count(/ 429$/) === 0) await Promise.all(Array.from({ length: 20 }, () => projects(api)));
