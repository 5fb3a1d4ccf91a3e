// The README's tour by hey-api's client: `node tour.js ADDRESS`. `transport.ts` is its part for fetch or for axios.
import { same, titles } from "./checks.js";
import * as api from "./taller/index.js";
import { connect, statusOf } from "./transport.js";

declare const process: { argv: string[] };

const address = process.argv[2]!;
const anonymous = connect(address);
// As hey-api's guide has it: one function, whatever the way of signing in. It then sends the token in every such way.
const signedIn = (token: string) => connect(address, () => token);

function answered<T>(result: { data: T | undefined; error: unknown }): T {
  if (result.data === undefined) throw new Error(JSON.stringify(result.error));
  return result.data;
}

// Only what the document says to be a problem is taken for one.
function refused(result: { data: unknown; error: api.Problem | undefined } & Parameters<typeof statusOf>[0]): api.Problem {
  if (result.error === undefined) throw new Error(`${JSON.stringify(result.data)} instead of a problem`);
  same(result.error.status, statusOf(result));
  return result.error;
}

// Signing in.
const signIn = async (username: string, password: string) =>
  answered(await api.login({ client: anonymous, body: { username, password } }));
const tokens = await signIn("admin", "1234");
const admin = signedIn(tokens.access_token);

// A project, once, however often it is sent.
const workshop = { client: admin, body: { name: "Workshop" }, headers: { "Idempotency-Key": "hey-api" } };
const project = answered(await api.createProject(workshop));
same(answered(await api.createProject(workshop)), project);
const path = { project_id: project.id };
same(answered(await api.readProject({ client: admin, path })), project);
same([project.name, project.role, project.tasks_total], ["Workshop", "owner", 0]);

// Tasks.
const add = async (client: typeof admin, body: api.TaskCreate) =>
  answered(await api.createTask({ client, path, body }));
await add(admin, { title: "Sweep the floor" });
await add(admin, { title: "Sharpen the chisels", priority: 5 });
const task = await add(admin, { title: "Buy a workbench", priority: 10, due_date: "2026-12-01" });

// Listed by priority, page by page, and by cursor.
const list = async (query: api.ListTasksData["query"]) =>
  answered(await api.listTasks({ client: admin, path, query }));
const first = await list({ page: 1, size: 2 });
same(titles(first), ["Buy a workbench", "Sharpen the chisels"]);
same([first.page, first.pages, first.total], [1, 2, 3]);
same(titles(await list({ page: 2, size: 2 })), ["Sweep the floor"]);

const found: string[][] = [];
for (let cursor: string | null = ""; cursor !== null; ) {
  const page: api.TaskPage = await list({ cursor, size: 2 });
  found.push(titles(page));
  cursor = page.next_cursor;
}
same(found, [["Buy a workbench", "Sharpen the chisels"], ["Sweep the floor"]]);

// Sorted, filtered.
same(titles(await list({ sort: "-title" })), ["Sweep the floor", "Sharpen the chisels", "Buy a workbench"]);
same(titles(await list({ priority_gte: 5, due_date_is_null: true })), ["Sharpen the chisels"]);
same(titles(await list({ due_date: "2026-12-01", created_at_gte: task.created_at })), ["Buy a workbench"]);

// A change leaves everything else as it is; the tag that it was sent with is a condition.
const change = { client: admin, path: { task_id: task.id }, headers: { "If-Match": task.etag } };
const changed = answered(await api.updateTask({ ...change, body: { completed: true } }));
same([changed.completed, changed.priority, changed.due_date], [true, 10, "2026-12-01"]);
const late = refused(await api.updateTask({ ...change, body: { completed: false } }));
same([late.status, late.code], [412, "precondition_failed"]);
const cleared = answered(await api.patchTask({ client: admin, path: change.path, body: { due_date: null } }));
same([cleared.completed, cleared.due_date], [true, null]);

// Several at once.
const batch = await api.batchTasks({
  client: admin,
  path,
  body: {
    operations: [
      { op: "create", task: { title: "Sort the screws" } },
      { op: "update", id: task.id, changes: { due_date: "2026-12-01" }, if_match: cleared.etag },
    ],
  },
});
const [created, updated] = answered(batch).results;
same([created?.status, updated?.status, updated?.task?.due_date], [201, 200, "2026-12-01"]);
same(statusOf(await api.deleteTask({ client: admin, path: { task_id: created!.task!.id } })), 204);

// An error, which the types foresee as well.
// @ts-expect-error - a priority is a number
const wrong: api.TaskUpdate = { priority: "high" };
const problem = refused(await api.updateTask({ client: admin, path: change.path, body: wrong }));
same([problem.status, problem.code, problem.type], [400, "invalid_request", "/problems/invalid_request"]);
same(problem.errors?.map((error) => [error.pointer, error.code]), [["/priority", "int_type"]]);

// Sharing.
const ana = { username: "ana", password: "correct horse battery" };
same(answered(await api.register({ client: anonymous, body: ana })).username, "ana");
const person = answered(await api.readPerson({ client: admin, path: { username: "ana" } }));
const member = answered(
  await api.setMember({ client: admin, path: { ...path, user_id: person.id }, body: { role: "editor" } }),
);
same([member.username, member.role], ["ana", "editor"]);
const hers = signedIn((await signIn(ana.username, ana.password)).access_token);
const shared = answered(await api.listProjects({ client: hers }));
same(
  shared.items.map((item) => [item.name, item.role, item.tasks_total, item.tasks_completed]),
  [["Workshop", "editor", 3, 1]],
);
await add(hers, { title: "Oil the bench", priority: 7 });

// An API key.
const key = answered(
  await api.createApiKey({ client: admin, body: { name: "nightly report", scopes: ["tasks:read"] } }),
);
const program = signedIn(key.secret);
const urgent = answered(await api.listVisibleTasks({ client: program, query: { size: 3, project_id: [project.id] } }));
same(titles(urgent), ["Buy a workbench", "Oil the bench", "Sharpen the chisels"]);
const forbidden = refused(await api.deleteTask({ client: program, path: change.path }));
same([forbidden.status, forbidden.code], [403, "insufficient_scope"]);

// Staying, and leaving.
const renewed = answered(
  await api.refreshTokens({ client: anonymous, body: { refresh_token: tokens.refresh_token } }),
);
const again = signedIn(renewed.access_token);
same(statusOf(await api.logout({ client: again })), 204);
const gone = refused(await api.listProjects({ client: again }));
same([gone.status, gone.code], [401, "invalid_token"]);
