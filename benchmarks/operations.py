"""What is measured: one request each, as wrk sends it, and once by hand to compare the answers and count statements."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from benchmarks.contender import BOUNCER, LIMITED, VARIANTS, Running
from benchmarks.data import Scale, label_id, project_id, task_id

SIZE = 50
"""Tasks on a page."""

BATCH = 500
"""Tasks that are made by one request."""

CURSOR = "cursor"


@dataclass(frozen=True, slots=True)
class Operation:
    """Something to measure."""

    name: str
    title: str
    script: str
    """The name in lua/load.lua."""

    connections: int = 16
    writes: bool = False
    """Whether the data have to be restored afterwards."""

    project: int = 1
    page: int = 1
    sweep: str = ""
    """`size` or `depth`, if it is a point of that curve: measured at half the time."""

    x: int = 0
    """Where on the curve."""

    least: float = 0.0
    """Seconds that it has to be measured for at least, because it takes so long."""

    by_cursor: bool = False
    """Whether the page is asked for by cursor: only those who offer that take part."""

    only: str = ""
    """The one contender that takes part, if not all do; a variant of Taller takes part in nothing else."""

    status: int = 0
    """The refusal that each answer is to be, if it is to be one."""

    load: float = 1.0
    """The part of the requests that could be answered."""

    is_accompanied: bool = False
    """Whether logins, searches and batches are sent meanwhile, one at a time."""

    plain: str = ""
    """The operation that does the same without a feature, where this one is to show what the feature costs."""

    asks: str = ""
    """What such a list is asked for."""

    def includes(self, contender: str) -> bool:
        """Whether a contender is to take part."""
        return self.only == contender if self.only else contender not in {variant.name for variant in VARIANTS}

    @property
    def query(self) -> str:
        """What follows the address of a list."""
        return self.asks or f"?page={self.page}&size={SIZE}"

    @property
    def depth(self) -> int:
        """Tasks before the page."""
        return SIZE * (self.page - 1)

    @property
    def by_number(self) -> str:
        """For an operation by cursor: the name of the one that asks for the same page by its number."""
        return "deep" if self.name == "deep-cursor" else self.name.replace(CURSOR, "depth")


def spaced(number: int) -> str:
    """1 000 000, as people read it."""
    return f"{number:,}".replace(",", " ")


def operations(scale: Scale) -> list[Operation]:
    """All of them, in the order in which they are measured and reported."""
    largest = scale.larger[-1]
    big, many, deep = scale.number_of(largest), spaced(largest), largest // 2
    listed = [
        Operation("read", "read a project", "read"),
        Operation("list", f"list {SIZE} of {spaced(scale.tasks)} tasks", "list"),
        Operation("list-largest", f"list {SIZE} of {many} tasks", "page", project=big),
        Operation("deep", f"list at depth {spaced(deep)}", "page", 4, project=big, page=deep // SIZE + 1, least=2.0),
        Operation("deep-cursor", "the same by cursor", "page", 4, project=big, page=deep // SIZE + 1, by_cursor=True),
        Operation("create", "create a task", "create", writes=True),
        Operation("update", "update a task (title)", "update", writes=True),
        Operation("complete", "complete a task", "complete", writes=True),
        Operation("delete", "delete a task", "delete", writes=True),
        Operation("login", "log in", "login", 4, writes=True, least=4.0),
        Operation("one-project", "16 writers into one project", "one", writes=True),
        Operation("16-projects", "16 writers into 16 projects", "many", writes=True),
        Operation("mix", "mix: 70 % list, 20 % read, 10 % write", "mix", writes=True),
        Operation("create-alone", "create a task, one at a time", "create", 1, writes=True, only="taller"),
        Operation("batch-create", f"create {BATCH} tasks in one request", "batch", 1, writes=True, only="taller"),
        Operation("half", "read a project, at half load", "read", only="taller", load=0.5),
        Operation(
            "half-beside",
            "the same beside logins, searches and batches",
            "read",
            writes=True,
            only="taller",
            load=0.5,
            is_accompanied=True,
        ),
        *_features(scale),
    ]
    for size in scale.sizes:
        project = scale.number_of(size)
        listed.append(
            Operation(f"size-{size}", f"first page of {spaced(size)}", "page", 4, False, project, 1, "size", size)
        )
    depths = [0, *(depth for depth in (1_000, 10_000, 100_000) if depth < deep), deep]
    for by_cursor in (False, True):
        for depth in depths:
            name, how = ("cursor" if by_cursor else "depth"), (" by cursor" if by_cursor else "")
            listed.append(
                Operation(
                    f"{name}-{depth}",
                    f"at depth {spaced(depth)} of {many}{how}",
                    "page",
                    4,
                    False,
                    big,
                    depth // SIZE + 1,
                    name,
                    depth,
                    least=2.0,
                    by_cursor=by_cursor,
                )
            )
    return listed


def _features(scale: Scale) -> list[Operation]:
    def feature(name: str, title: str, plain: str, script: str, asks: str = "", **options: Any) -> Operation:
        return Operation(name, title, script, **{"only": "taller", "plain": plain, "asks": asks, **options})

    page = f"page=1&size={SIZE}"
    return [
        feature("read-unchanged", "read a project that is unchanged (`If-None-Match`: 304)", "read", "unchanged"),
        feature("update-matched", "update a task if it exists (`If-Match`)", "update", "matched", writes=True),
        feature("create-keyed", "create a task with an `Idempotency-Key`", "create", "keyed", writes=True),
        feature("list-cursor", "list by cursor, without a total", "list", "asked", f"?cursor=&size={SIZE}"),
        feature("list-sorted", "list sorted by due date", "list", "asked", f"?{page}&sort=due_date"),
        feature(
            "list-filtered", "list filtered by two members", "list", "asked", f"?{page}&completed=false&priority_gte=5"
        ),
        feature(
            "list-searched",
            "search a list for a beginning (`17`)",
            "list",
            "asked",
            f"?{page}&q=17",
        ),
        feature(
            "list-searched-common",
            "search a list for a beginning that most tasks have (`wh`)",
            "list",
            "asked",
            f"?{page}&q=wh",
        ),
        feature(
            "list-listed",
            "list tasks with 3 labels and 2 assignees each",
            "list",
            "page",
            f"?{page}",
            project=scale.listed,
        ),
        feature(
            "list-labelled",
            "list by label",
            "list-listed",
            "page",
            f"?{page}&label_id={label_id(1)}",
            project=scale.listed,
        ),
        feature("list-mine", "list open tasks of oneself, of all projects", "list-listed", "mine"),
        feature(
            "list-parents",
            "list tasks with 9 subtasks each",
            "list",
            "page",
            f"?{page}&parent_id_is_null=true",
            project=scale.nested,
        ),
        feature(
            "list-subtasks",
            "list the 9 subtasks of a task",
            "list",
            "page",
            f"?{page}&parent_id={task_id(scale.nested, 11)}",
            project=scale.nested,
        ),
        feature(
            "list-blockers",
            "list the 9 blockers of a task",
            "list",
            "of_task",
            f"/blockers/?size={SIZE}",
            project=scale.nested,
        ),
        feature("summary", "a project's summary", "list", "summary"),
        feature("read-missing", "read a project that is not there (404)", "read", "missing", status=404),
        feature("read-anonymous", "read a project without a token (401)", "read", "anonymous", status=401),
        feature("read-limited", "read a project beyond the limit (429)", "read", "read", status=429, only=LIMITED),
        feature("openapi", "read the OpenAPI document (gzip)", "read", "openapi"),
        feature("docs", "read the documentation's page (gzip)", "read", "docs"),
        feature("read-bouncer", "read a project through PgBouncer", "read", "read", only=BOUNCER),
    ]


@dataclass(frozen=True, slots=True)
class Sample:
    """One request of an operation, by hand."""

    method: str
    path: str
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    login: bool = False
    anonymous: bool = False


def sample(operation: Operation, scale: Scale, number: int, query: str | None = None) -> Sample:
    """Return the `number`th request, counted from 0, that stands for an operation; `query` instead of its own for a
    page.
    """
    project = number % scale.projects + 1
    tasks = f"/api/v1/projects/{project_id(project)}/tasks/"
    new = {"title": f"Benchmark task {number}", "description": "Made while measuring", "due_date": "2027-01-31"}
    change = {"title": f"Updated task {number}"}
    samples: dict[str, Callable[[], Sample]] = {
        "read": lambda: Sample("GET", f"/api/v1/projects/{project_id(project)}"),
        "list": lambda: Sample("GET", f"{tasks}?page=1&size={SIZE}"),
        "page": lambda: Sample(
            "GET", f"/api/v1/projects/{project_id(operation.project)}/tasks/{query or operation.query}"
        ),
        "create": lambda: Sample("POST", tasks, {**new, "priority": 7}),
        "batch": lambda: Sample(
            "POST",
            f"{tasks}batch",
            {"operations": [{"op": "create", "task": {**new, "priority": n % 10}} for n in range(BATCH)]},
        ),
        "update": lambda: Sample("PATCH", f"/api/v1/tasks/{task_id(project, 5)}", change),
        "complete": lambda: Sample("PATCH", f"/api/v1/tasks/{task_id(project, 7)}", {"completed": True}),
        "delete": lambda: Sample("DELETE", f"/api/v1/tasks/019a0000-0000-7000-8000-{number + 1:012x}"),
        "login": lambda: Sample("POST", "/api/v1/auth/login", login=True),
        "unchanged": lambda: Sample("GET", f"/api/v1/projects/{project_id(project)}", headers={"If-None-Match": "*"}),
        "matched": lambda: Sample("PATCH", f"/api/v1/tasks/{task_id(project, 5)}", change, {"If-Match": "*"}),
        "keyed": lambda: Sample("POST", tasks, {**new, "priority": 7}, {"Idempotency-Key": f"sample-{number}"}),
        "asked": lambda: Sample("GET", tasks + operation.query),
        "mine": lambda: Sample("GET", "/api/v1/tasks/?assignee_id=me&completed=false"),
        "of_task": lambda: Sample("GET", f"/api/v1/tasks/{task_id(operation.project, 1)}{operation.query}"),
        "summary": lambda: Sample("GET", f"/api/v1/projects/{project_id(project)}/summary"),
        "missing": lambda: Sample("GET", f"/api/v1/projects/{task_id(project, 1)}"),
        "anonymous": lambda: Sample("GET", f"/api/v1/projects/{project_id(project)}", anonymous=True),
        "openapi": lambda: Sample("GET", "/openapi.json"),
        "docs": lambda: Sample("GET", "/docs"),
    }
    return samples[operation.script]()


def send(running: Running, request: Sample) -> tuple[int, object]:
    """Send it as the caller, or as somebody who signs in."""
    if request.login:
        bodies, content_type = running.login_bodies()
        return running.request(request.method, request.path, bodies[0], {"Content-Type": content_type})
    if request.anonymous:
        return running.request(request.method, request.path)
    return running.call(request.method, request.path, request.body, request.headers)


def offers_cursors(running: Running) -> bool:
    """Whether its OpenAPI document has a parameter `cursor` for the list of tasks."""
    status, document = running.request("GET", "/openapi.json")
    if status != 200 or not isinstance(document, dict):
        return False
    for path, methods in document.get("paths", {}).items():
        if path.endswith("/tasks/") and "project_id" in path:
            parameters = methods.get("get", {}).get("parameters", [])
            return any(parameter.get("name") == CURSOR for parameter in parameters)
    return False


def cursors_at(running: Running, project: int, depths: list[int]) -> dict[int, str]:
    """Walk through a list by cursor, from its first page on; the query that leads to each depth, as far as it goes."""
    path = f"/api/v1/projects/{project_id(project)}/tasks/"
    step, position, found = 100, 0, {0: f"?size={SIZE}"}
    query = f"?page=1&size={step}"
    while position < max(depths):
        status, answer = running.call("GET", path + query)
        if status != 200 or not (cursor := answer.get("next_cursor")):
            break
        position += step
        cursor = quote(cursor, safe="")
        if position in depths:
            found[position] = f"?{CURSOR}={cursor}&size={SIZE}"
        query = f"?{CURSOR}={cursor}&size={step}"
    return found
