// The README's tour by orval's client for fetch: `node tour.js`.
import { same, titles } from "./checks.js";
import * as api from "./taller.js";

const signedIn = (token: string) => ({ headers: { Authorization: `Bearer ${token}` } });

type Answer = { data: unknown; status: number };

// An answer of this status, as the document describes it.
function answered<A extends Answer, S extends A["status"]>(answer: A, status: S): Extract<A, { status: S }>["data"] {
  same([answer.status, answer.status === status ? null : answer.data], [status, null]);
  return answer.data as Extract<A, { status: S }>["data"];
}

// Signing in.
const signIn = async (username: string, password: string) => answered(await api.login({ username, password }), 200);
const tokens = await signIn("admin", "1234");
const admin = signedIn(tokens.access_token);

// A project, once, however often it is sent.
const create = async () =>
  answered(await api.createProject({ name: "Workshop" }, { "Idempotency-Key": "orval" }, admin), 201);
const project = await create();
same(await create(), project);
same(answered(await api.readProject(project.id, {}, admin), 200), project);
same([project.name, project.role, project.tasks_total], ["Workshop", api.Role.owner, 0]);

// Tasks.
const add = async (caller: typeof admin, body: api.TaskCreate) =>
  answered(await api.createTask(project.id, body, {}, caller), 201);
await add(admin, { title: "Sweep the floor" });
await add(admin, { title: "Sharpen the chisels", priority: 5 });
const task = await add(admin, { title: "Buy a workbench", priority: 10, due_date: "2026-12-01" });

// Listed by priority, page by page, and by cursor.
const list = async (query: api.ListTasksParams) => answered(await api.listTasks(project.id, query, {}, admin), 200);
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
const seen = { "If-Match": task.etag };
const changed = answered(await api.updateTask(task.id, { completed: true }, seen, admin), 200);
same([changed.completed, changed.priority, changed.due_date], [true, 10, "2026-12-01"]);
const late = answered(await api.updateTask(task.id, { completed: false }, seen, admin), 412);
same([late.status, late.code], [412, "precondition_failed"]);
const cleared = answered(await api.patchTask(task.id, { due_date: null }, {}, admin), 200);
same([cleared.completed, cleared.due_date], [true, null]);

// Several at once.
const batch = await api.batchTasks(
  project.id,
  {
    operations: [
      { op: "create", task: { title: "Sort the screws" } },
      { op: "update", id: task.id, changes: { due_date: "2026-12-01" }, if_match: cleared.etag },
    ],
  },
  {},
  admin,
);
const [created, updated] = answered(batch, 200).results;
same([created?.status, updated?.status, updated?.task?.due_date], [201, 200, "2026-12-01"]);
same((await api.deleteTask(created!.task!.id, {}, admin)).status, 204);

// An error, which the types foresee as well.
// @ts-expect-error - a priority is a number
const wrong: api.TaskUpdate = { priority: "high" };
const problem = answered(await api.updateTask(task.id, wrong, {}, admin), 400);
same([problem.status, problem.code, problem.type], [400, "invalid_request", "/problems/invalid_request"]);
same(problem.errors?.map((error) => [error.pointer, error.code]), [["/priority", "int_type"]]);

// Sharing.
const ana = { username: "ana", password: "correct horse battery" };
same(answered(await api.register(ana), 201).username, "ana");
const person = answered(await api.readPerson("ana", admin), 200);
const member = answered(await api.setMember(project.id, person.id, { role: api.Role.editor }, admin), 201);
same([member.username, member.role], ["ana", "editor"]);
const hers = signedIn((await signIn(ana.username, ana.password)).access_token);
const shared = answered(await api.listProjects({}, {}, hers), 200);
same(
  shared.items.map((item) => [item.name, item.role, item.tasks_total, item.tasks_completed]),
  [["Workshop", "editor", 3, 1]],
);
await add(hers, { title: "Oil the bench", priority: 7 });

// An API key.
const scopes = [api.Scope["tasks:read"]];
const key = answered(await api.createApiKey({ name: "nightly report", scopes }, admin), 201);
const program = { headers: { "X-API-Key": key.secret } };
const urgent = answered(await api.listVisibleTasks({ size: 3, project_id: [project.id] }, {}, program), 200);
same(titles(urgent), ["Buy a workbench", "Oil the bench", "Sharpen the chisels"]);
const forbidden = answered(await api.deleteTask(task.id, {}, program), 403);
same([forbidden.status, forbidden.code], [403, "insufficient_scope"]);

// Staying, and leaving.
const renewed = answered(await api.refreshTokens({ refresh_token: tokens.refresh_token }), 200);
const again = signedIn(renewed.access_token);
same((await api.logout(again)).status, 204);
const gone = answered(await api.listProjects({}, {}, again), 401);
same([gone.status, gone.code], [401, "invalid_token"]);
