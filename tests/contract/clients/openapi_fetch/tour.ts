// The README's tour by openapi-fetch and the generated types: `node tour.js ADDRESS`.
import createClient from "openapi-fetch";
import { same, titles } from "./checks.js";
import type { components, operations, paths } from "./schema.js";

declare const process: { argv: string[] };

type Problem = components["schemas"]["Problem"];

const address = process.argv[2]!;
const anonymous = createClient<paths>({ baseUrl: address });
const signedIn = (token: string) =>
  createClient<paths>({ baseUrl: address, headers: { Authorization: `Bearer ${token}` } });

function answered<T>(result: { data?: T; error?: unknown }): NonNullable<T> {
  if (result.data === undefined || result.data === null) throw new Error(JSON.stringify(result.error));
  return result.data;
}

// Only what the document says to be a problem is taken for one.
function refused(result: { error?: Problem; response: Response }): Problem {
  if (result.error === undefined) throw new Error(`${result.response.url} was not refused`);
  same(result.error.status, result.response.status);
  return result.error;
}

// Signing in.
const signIn = async (username: string, password: string) =>
  answered(await anonymous.POST("/api/v1/auth/login", { body: { username, password } }));
const tokens = await signIn("admin", "1234");
const admin = signedIn(tokens.access_token);

// A project, once, however often it is sent.
const workshop = { params: { header: { "Idempotency-Key": "openapi-fetch" } }, body: { name: "Workshop" } };
const project = answered(await admin.POST("/api/v1/projects/", workshop));
same(answered(await admin.POST("/api/v1/projects/", workshop)), project);
const project_id = project.id;
same(answered(await admin.GET("/api/v1/projects/{project_id}", { params: { path: { project_id } } })), project);
same([project.name, project.role, project.tasks_total], ["Workshop", "owner", 0]);

// Tasks.
const tasks = { params: { path: { project_id } } };
const add = async (client: typeof admin, body: components["schemas"]["TaskCreate"]) =>
  answered(await client.POST("/api/v1/projects/{project_id}/tasks/", { ...tasks, body }));
await add(admin, { title: "Sweep the floor" });
await add(admin, { title: "Sharpen the chisels", priority: 5 });
const task = await add(admin, { title: "Buy a workbench", priority: 10, due_date: "2026-12-01" });

// Listed by priority, page by page, and by cursor.
const list = async (query: operations["list_tasks"]["parameters"]["query"]) =>
  answered(await admin.GET("/api/v1/projects/{project_id}/tasks/", { params: { path: { project_id }, query } }));
const first = await list({ page: 1, size: 2 });
same(titles(first), ["Buy a workbench", "Sharpen the chisels"]);
same([first.page, first.pages, first.total], [1, 2, 3]);
same(titles(await list({ page: 2, size: 2 })), ["Sweep the floor"]);

const found: string[][] = [];
for (let cursor: string | null = ""; cursor !== null; ) {
  const page: Awaited<ReturnType<typeof list>> = await list({ cursor, size: 2 });
  found.push(titles(page));
  cursor = page.next_cursor;
}
same(found, [["Buy a workbench", "Sharpen the chisels"], ["Sweep the floor"]]);

// Sorted, filtered.
same(titles(await list({ sort: "-title" })), ["Sweep the floor", "Sharpen the chisels", "Buy a workbench"]);
same(titles(await list({ priority_gte: 5, due_date_is_null: true })), ["Sharpen the chisels"]);
same(titles(await list({ due_date: "2026-12-01", created_at_gte: task.created_at })), ["Buy a workbench"]);

// A change leaves everything else as it is; the tag that it was sent with is a condition.
const path = { task_id: task.id };
const params = { path, header: { "If-Match": task.etag } };
const changed = answered(await admin.PUT("/api/v1/tasks/{task_id}", { params, body: { completed: true } }));
same([changed.completed, changed.priority, changed.due_date], [true, 10, "2026-12-01"]);
const late = refused(await admin.PUT("/api/v1/tasks/{task_id}", { params, body: { completed: false } }));
same([late.status, late.code], [412, "precondition_failed"]);

const cleared = answered(
  await admin.PATCH("/api/v1/tasks/{task_id}", { params: { path }, body: { due_date: null } }),
);
same([cleared.completed, cleared.due_date], [true, null]);

// Several at once.
const batch = await admin.POST("/api/v1/projects/{project_id}/tasks/batch", {
  ...tasks,
  body: {
    operations: [
      { op: "create", task: { title: "Sort the screws" } },
      { op: "update", id: task.id, changes: { due_date: "2026-12-01" }, if_match: cleared.etag },
    ],
  },
});
const [created, updated] = answered(batch).results;
same([created?.status, updated?.status, updated?.task?.due_date], [201, 200, "2026-12-01"]);
const screws = { params: { path: { task_id: created!.task!.id } } };
same((await admin.DELETE("/api/v1/tasks/{task_id}", screws)).response.status, 204);

// An error, which the types foresee as well.
// @ts-expect-error - a priority is a number
const wrong: components["schemas"]["TaskUpdate"] = { priority: "high" };
const problem = refused(await admin.PUT("/api/v1/tasks/{task_id}", { params: { path }, body: wrong }));
same([problem.status, problem.code, problem.type], [400, "invalid_request", "/problems/invalid_request"]);
same(problem.errors?.map((error) => [error.pointer, error.code]), [["/priority", "int_type"]]);

// Sharing.
const ana = { username: "ana", password: "correct horse battery" };
same(answered(await anonymous.POST("/api/v1/auth/register", { body: ana })).username, "ana");
const person = answered(
  await admin.GET("/api/v1/users/by-username/{username}", { params: { path: { username: "ana" } } }),
);
const member = answered(
  await admin.PUT("/api/v1/projects/{project_id}/members/{user_id}", {
    params: { path: { project_id, user_id: person.id } },
    body: { role: "editor" },
  }),
);
same([member.username, member.role], ["ana", "editor"]);
const hers = signedIn((await signIn(ana.username, ana.password)).access_token);
const shared = answered(await hers.GET("/api/v1/projects/"));
same(
  shared.items.map((item) => [item.name, item.role, item.tasks_total, item.tasks_completed]),
  [["Workshop", "editor", 3, 1]],
);
await add(hers, { title: "Oil the bench", priority: 7 });

// An API key.
const key = answered(
  await admin.POST("/api/v1/auth/api-keys", { body: { name: "nightly report", scopes: ["tasks:read"] } }),
);
const program = createClient<paths>({ baseUrl: address, headers: { "X-API-Key": key.secret } });
const urgent = answered(await program.GET("/api/v1/tasks/", { params: { query: { size: 3 } } }));
same(titles(urgent), ["Buy a workbench", "Oil the bench", "Sharpen the chisels"]);
const forbidden = refused(await program.DELETE("/api/v1/tasks/{task_id}", { params: { path } }));
same([forbidden.status, forbidden.code], [403, "insufficient_scope"]);

// Staying, and leaving.
const renewed = answered(
  await anonymous.POST("/api/v1/auth/refresh", { body: { refresh_token: tokens.refresh_token } }),
);
const again = signedIn(renewed.access_token);
same((await again.POST("/api/v1/auth/logout")).response.status, 204);
const gone = refused(await again.GET("/api/v1/projects/"));
same([gone.status, gone.code], [401, "invalid_token"]);
