"""How PostgreSQL reads lists where there are many tasks: off an index, in order, and no further than the page."""

import json
import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.schema import CreateIndex

from app.core.config import Settings
from app.core.database.database import CUSTOM_PLAN_SETTINGS, GENERIC_PLAN_SETTINGS, Database
from app.core.database.prepared import PreparedConnection
from app.core.listing.cursors import Position
from app.core.listing.sorting import order_of, position_parameters, reversed_order
from app.core.listing.statement import MAX_COUNTED, ListQuery, ListVariant
from app.core.waiting import Deadlines
from app.projects.models import Role
from app.projects.queries import projects
from app.projects.scopes import permissions
from app.tasks import queries
from app.tasks.models import Task
from tests.auth.factories import UserFactory
from tests.labels.factories import LabelFactory
from tests.projects.factories import add_member, project_of
from tests.support import server
from tests.support.factories import store
from tests.tasks.factories import TaskFactory

TASKS = int(os.environ.get("TALLER_TEST_TASKS", "40000"))
"""In the largest project; `make drills` has a million. How many does not matter to what is read: that is the point."""

DATED = TASKS * 4 // 5
"""Those with a date to be done by."""

OTHERS = 20
"""Further projects, of 500 tasks each."""

SIZE = 50

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

FILL = """
    INSERT INTO tasks (
        id, project_id, title, description, priority, completed, due_date, created_at, updated_at,
        label_ids, assignee_ids
    )
    SELECT (lpad(to_hex($3::int), 8, '0') || lpad(to_hex(n), 24, '0'))::uuid, $1,
        'Task ' || n || ': ' || (ARRAY['saw', 'plane', 'sand', 'oil'])[n % 4 + 1],
        CASE WHEN n % 3 = 0 THEN 'More about it: ' || n % 1000 END, n % 7, n % 2 = 0,
        CASE WHEN n % 5 > 0 THEN date '2026-01-01' + n % 700 END,
        now() - n * interval '1 second', now() - (n::bigint * 7919 % $2::int) * interval '1 second',
        list_of(CASE WHEN n % 2 = 0 THEN $4::uuid[] WHEN n % ($2::int / 40) = 1 THEN $5::uuid[] END),
        list_of(CASE WHEN n % 2 = 0 THEN $6::uuid[] WHEN n % ($2::int / 40) = 1 THEN $7::uuid[] END)
    FROM generate_series(1, $2::int) AS n
"""
"""Ids rise, as those that the service makes do. Of the lists, one is that of every second task, one of forty."""

LISTED = """
    INSERT INTO task_labels SELECT id, unnest(ids_in(label_ids)), project_id FROM tasks;
    INSERT INTO task_assignees SELECT id, unnest(ids_in(assignee_ids)), project_id FROM tasks;
"""
BLOCKED = """
    INSERT INTO task_blockers SELECT * FROM (
        SELECT id, lead(id) OVER (ORDER BY id) AS blocker_id, project_id FROM tasks
        WHERE label_ids = list_of($1::uuid[])
    ) AS pairs WHERE blocker_id IS NOT NULL
"""
"""Of the forty, each waits for the next one."""

PLACED = """
    UPDATE tasks SET parent_id = (SELECT id FROM tasks WHERE external_id = 'JIRA-17')
    WHERE label_ids = list_of($1::uuid[])
"""
"""The forty are part of the one task that has an external id."""

KEEPING = (
    ("tasks", "tasks_keep_inserted"),
    ("task_labels", "task_labels_follow"),
    ("task_assignees", "task_assignees_follow"),
)
"""Triggers that would do for each row what `LISTED` does at once."""

INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'tasks' AND indexname LIKE '%_idx'"
REFERENCES = """
    SELECT conname, pg_get_constraintdef(oid) AS definition
    FROM pg_constraint WHERE conrelid = 'tasks'::regclass AND contype = 'f'
"""


BY_VALUE = "; ".join(f"SET LOCAL {name} = {value}" for name, value in CUSTOM_PLAN_SETTINGS.items())


class Crowd(NamedTuple):
    """A database with a project of many tasks among others, and a connection that is set as the service's are."""

    connection: Any
    largest: UUID
    caller: UUID
    stranger: UUID
    """Somebody with a few tasks of their own, in one project."""

    strangers_own: UUID

    labels: tuple[UUID, UUID]
    """Of the largest project: one that every second task has, and one that forty have."""

    colleague: UUID
    """Who does every second task of the largest project; the caller does forty."""

    def statement(
        self,
        listed: ListQuery,
        sort: str,
        position: Position | None = None,
        *,
        is_counted: bool = False,
        **filters: Any,
    ) -> tuple[str, list[Any]]:
        """A page by cursor as the service sends it: its text and its values."""
        order = order_of(sort, listed.tiebreaker)
        after = None if position is None else tuple(value is None for value in position.values)
        variant = ListVariant(order, tuple(filters), after, is_counted)
        statement = listed.statement(permissions(Role.VIEWER)[False, False], variant)
        values = {"caller_id": self.caller, "project_id": self.largest, "limit": SIZE + 1, "offset": 0, **filters}
        values |= position_parameters(position.values if position else ())
        return statement.sql, statement.arguments(values)

    async def plan(self, sql: str, values: list[Any]) -> dict[str, Any]:
        """What the one plan for all values does with these."""
        await self.connection.execute(f"PREPARE page AS {sql}")
        try:
            types = await self.connection.fetchval(
                "SELECT parameter_types::text[] FROM pg_prepared_statements WHERE name = 'page'"
            )
            given = ", ".join(map(literal, values, types))
            explained = await self.connection.fetchval(
                f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE page ({given})"
            )
        finally:
            await self.connection.execute("DEALLOCATE page")
        plan: dict[str, Any] = json.loads(explained)[0]["Plan"]
        return plan

    async def plan_by_value(self, sql: str, values: list[Any]) -> dict[str, Any]:
        """The plan that is made for these values."""
        async with self.connection.transaction():
            await self.connection.execute(BY_VALUE)
            explained = await self.connection.fetchval(
                f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {sql}", *values
            )
        plan: dict[str, Any] = json.loads(explained)[0]["Plan"]
        return plan

    async def plan_as_sent(self, listed: ListQuery, sort: str, **asked: Any) -> dict[str, Any]:
        """The plan that the service gets for a list."""
        filters = [name for name in asked if name != "is_counted"]
        plan = self.plan_by_value if listed.is_planned_by_value(filters, order_of(sort, "id")) else self.plan
        return await plan(*self.statement(listed, sort, **asked))

    async def page(self, listed: ListQuery, sort: str, *position: Position, **asked: Any) -> list[Any]:
        """The rows of a page that is planned once."""
        sql, values = self.statement(listed, sort, *position, **asked)
        rows: list[Any] = await self.connection.fetch(sql, *values)
        return rows

    async def position_at(self, sort: str, depth: int) -> Position:
        """Where a page at a depth begins."""
        order = order_of(sort, "id")
        by = ", ".join(f"{key.name}{' DESC' if key.is_descending else ''}" for key in order)
        among = "true"
        if order[0].name == "due_date":
            # Those without a date come last in both directions.
            among, depth = ("due_date IS NOT NULL", depth) if depth < DATED else ("due_date IS NULL", depth - DATED)
        # The id first: it is found in an index alone, or by sorting less than all columns.
        found = f"SELECT id FROM tasks WHERE project_id = $1 AND {among} ORDER BY {by} LIMIT 1 OFFSET $2"
        row = await self.connection.fetchrow(f"SELECT * FROM tasks WHERE id = ({found})", self.largest, depth)
        return Position([row[key.name] for key in order])


def literal(value: object, type_: str) -> str:
    """A parameter as it is sent, in SQL: moments and days are numbers."""
    if value is None:
        return "NULL"
    if type_ == "timestamp with time zone":
        return f"timestamptz '2000-01-01 00:00Z' + {value} * interval '1 microsecond'"
    return f"date '2000-01-01' + {value}" if type_ == "date" else f"'{value}'"


@pytest.fixture(scope="module")
def crowded_url(server_url: str, worker_id: str) -> Iterator[str]:
    """A database of this module's own: so many rows would slow down the cleaning after other tests."""
    with server.database_copy(server_url, f"{server.PREFIX}plans_{worker_id}_{os.getpid()}") as url:
        yield url


@pytest.fixture(scope="module")
async def crowd(crowded_url: str, settings: Settings) -> AsyncIterator[Crowd]:
    database = Database(settings.model_copy(update=server.way_to(crowded_url)))
    user = UserFactory.build()
    await store(database, user)
    projects = [await project_of(database, user) for _ in range(OTHERS + 1)]
    colleague, stranger = UserFactory.build(), UserFactory.build()
    labels = [LabelFactory.build(project_id=projects[0].id) for _ in range(2)]
    await store(database, colleague, stranger, *labels)
    for project in projects:
        await add_member(database, project, colleague, Role.VIEWER)
    own = await project_of(database, stranger)
    await store(database, *TaskFactory.batch(5, project_id=own.id, title="Sweep", description=None))
    await database.close()
    connection = await asyncpg.connect(
        make_url(crowded_url).set(drivername="postgresql").render_as_string(False), connection_class=PreparedConnection
    )
    await connection.set_up(Deadlines(200, PreparedConnection.terminate), keeps=True, tracing=None)
    # Made again as the migrations made them, of all rows at once: more than half of the time is saved.
    made = await connection.fetch(INDEXES)
    references = await connection.fetch(REFERENCES)
    for name, _ in references:
        await connection.execute(f"ALTER TABLE tasks DROP CONSTRAINT {name}")
    for name, _ in made:
        await connection.execute(f"DROP INDEX {name}")
    for table, trigger in KEEPING:
        await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")
    largest = [[labels[0].id], [labels[1].id], [colleague.id], [user.id]]
    for number, project in enumerate(projects):
        listed = [None] * 4 if number else largest
        await connection.execute(FILL, project.id, 500 if number else TASKS, number, *listed, timeout=200)
    await connection.execute(LISTED, timeout=200)
    for table, trigger in KEEPING:
        await connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER {trigger}")
    for _, definition in made:
        await connection.execute(definition, timeout=200)
    await connection.execute(BLOCKED, [labels[1].id])
    parent = TaskFactory.build(project_id=projects[0].id, external_id="JIRA-17")
    database = Database(settings.model_copy(update=server.way_to(crowded_url)))
    await store(database, parent)
    await database.close()
    await connection.execute(PLACED, [labels[1].id])
    for name, definition in references:
        await connection.execute(f"ALTER TABLE tasks ADD CONSTRAINT {name} {definition}", timeout=200)
    await connection.execute("VACUUM ANALYZE", timeout=200)
    for name, value in GENERIC_PLAN_SETTINGS.items():
        await connection.execute(f"SET {name} = {value}")
    own_and_others = (stranger.id, own.id, (labels[0].id, labels[1].id), colleague.id)
    yield Crowd(connection, projects[0].id, user.id, *own_and_others)
    await connection.close()


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def scans(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """The nodes that read tasks."""
    return [node for node in nodes(plan) if "Scan" in node["Node Type"] and node.get("Relation Name") == "tasks"]


def rows_read(plan: dict[str, Any]) -> int:
    """Tasks that were read, shown or not."""
    # Figures of nodes are means of their loops, rounded.
    found: list[float] = [
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in scans(plan)
    ]
    return round(sum(found))


def pages_read(plan: dict[str, Any]) -> int:
    """Blocks of tables and indexes, in memory or not."""
    found: int = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    return found


def indexes(plan: dict[str, Any]) -> set[str]:
    return {
        node["Index Name"] for node in nodes(plan) if "Index Name" in node and node["Index Name"].startswith("tasks")
    }


def sorts(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [node for node in nodes(plan) if "Sort" in node["Node Type"]]


INDEXED = {
    "-priority": "tasks_by_priority_idx",
    "priority": "tasks_by_priority_idx",
    "due_date": "tasks_by_due_date_idx",
    "-due_date": "tasks_by_due_date_idx",
    "created_at": "tasks_by_created_at_idx",
    "-created_at": "tasks_by_created_at_idx",
}
"""Sorts that an index answers, at any depth."""

WITHIN_THE_PROJECT = ["updated_at", "-updated_at", "title", "-title", "completed", "-completed,title"]
"""Sorts for which a page reads the whole project and keeps the best: at any depth the same, but the project's size."""

BY_GROUPS = ["-priority,due_date", "priority,-created_at", "due_date,-priority", "-due_date,title"]
"""Sorts whose first key an index gives: a page reads and sorts all that is equal in it."""


@pytest.mark.parametrize("depth", [None, 0, TASKS // 2, TASKS * 17 // 20, TASKS - 2])
@pytest.mark.parametrize("sort", INDEXED)
async def test_indexed_sort_reads_only_the_page_at_any_depth(crowd: Crowd, sort: str, depth: int | None) -> None:
    position = None if depth is None else await crowd.position_at(sort, depth)
    plan = await crowd.plan(*crowd.statement(queries.tasks_of_project, sort, position))
    assert indexes(plan) == {INDEXED[sort]}
    assert all(node["Node Type"] in {"Index Scan", "Index Only Scan"} for node in scans(plan))
    # Two parts, those with a date and those without, may each be read as far as the page.
    assert rows_read(plan) <= (SIZE + 1) * (2 if "due_date" in sort else 1)
    for node in sorts(plan):
        assert node["Actual Rows"] <= SIZE + 1
        assert "Limit" in {inner["Node Type"] for inner in nodes(node)}, "only what was already cut to the page"
    assert "due_date" in sort or sorts(plan) == []


@pytest.mark.parametrize("sort", ["-priority", "due_date"])
async def test_paging_backwards_reads_as_much_as_forwards(crowd: Crowd, sort: str) -> None:
    order = order_of(sort, "id")
    position = await crowd.position_at(sort, TASKS // 2)
    listed = queries.tasks_of_project
    variant = ListVariant(reversed_order(order), (), (False, False), is_counted=False)
    statement = listed.statement(permissions(Role.VIEWER)[False, False], variant)
    values = {"caller_id": crowd.caller, "project_id": crowd.largest, "limit": SIZE + 1, "offset": 0}
    values |= position_parameters(position.values)
    plan = await crowd.plan(statement.sql, statement.arguments(values))
    assert indexes(plan) == {INDEXED[sort]}
    assert rows_read(plan) <= 2 * (SIZE + 1)


@pytest.mark.parametrize("sort", ["-priority", "-due_date", "created_at"])
async def test_list_over_projects_reads_one_page_of_each(crowd: Crowd, sort: str) -> None:
    for position in (None, await crowd.position_at(sort, TASKS // 2)):
        plan = await crowd.plan(*crowd.statement(queries.visible_tasks, sort, position))
        assert indexes(plan) == {INDEXED[sort]}
        assert rows_read(plan) <= (OTHERS + 1) * (SIZE + 1) * 2


@pytest.mark.parametrize("sort", WITHIN_THE_PROJECT)
async def test_unindexed_sort_reads_the_project_once_at_any_depth(crowd: Crowd, sort: str) -> None:
    for depth in (0, TASKS * 9 // 10):
        plan = await crowd.plan(*crowd.statement(queries.tasks_of_project, sort, await crowd.position_at(sort, depth)))
        assert len(scans(plan)) == 1
        assert rows_read(plan) == pytest.approx(TASKS, abs=10), "figures of parallel workers are rounded"
        (found,) = sorts(plan)
        # A heap of the page; where parallel workers left the leader fewer rows than two pages, quicksort of those.
        assert found["Sort Space Type"] == "Memory"
        assert found["Sort Space Used"] < 100, "kB: no more than the page is kept"


@pytest.mark.parametrize("sort", BY_GROUPS)
async def test_second_sort_key_reads_only_equal_first_keys(crowd: Crowd, sort: str) -> None:
    index = INDEXED[sort.partition(",")[0]]
    for depth in (10, TASKS // 2):
        plan = await crowd.plan(*crowd.statement(queries.tasks_of_project, sort, await crowd.position_at(sort, depth)))
        assert indexes(plan) == {index}
        # Two groups at most: a seventh of all has one priority, and a fifth no date.
        assert rows_read(plan) <= 2 * TASKS / 5


@pytest.mark.parametrize(
    ("words", "matches"),
    [
        ("saw 12343", 1),
        ("nothing", 0),
        ("task 1234", sum(str(n).startswith("1234") for n in range(1, TASKS + 1))),
        ('"more about it" 77', TASKS // 300),
    ],
)
async def test_search_reads_only_its_matches(crowd: Crowd, words: str, matches: int) -> None:
    for listed in (queries.tasks_of_project, queries.visible_tasks):
        plan = await crowd.plan_as_sent(listed, "-priority", q=words)
        assert {scan["Index Name"] for scan in nodes(plan) if scan["Node Type"] == "Bitmap Index Scan"} == {
            "tasks_words_idx"
        }
        assert rows_read(plan) <= 4 * matches + 100


COMMON = [("-priority", {"q": "task"}), ("due_date", {"q": "task", "completed": True}), ("created_at", {"q": "ta"})]
"""Searches that match more than is counted, in orders with an index."""


@pytest.mark.parametrize(("sort", "filters"), COMMON)
async def test_common_word_reads_what_is_counted_and_the_page(crowd: Crowd, sort: str, filters: dict[str, Any]) -> None:
    plan = await crowd.plan_as_sent(queries.tasks_of_project, sort, is_counted=True, **filters)
    assert plan["Actual Rows"] == SIZE + 1
    # Of a million tasks, one in thirty of those that are due first is completed.
    assert rows_read(plan) <= 2 * MAX_COUNTED + 40 * SIZE
    assert all(node["Sort Space Used"] < 100 for node in sorts(plan) if "Sort Space Used" in node)


@pytest.mark.parametrize("words", ["1234", "ta", '"more about it" 77', "-saw -sand -oil -plane"])
@pytest.mark.parametrize("sort", ["-priority", "due_date", "-created_at"])
async def test_search_planned_once_finds_what_one_by_value_does(crowd: Crowd, sort: str, words: str) -> None:
    order = order_of(sort, "id")
    by = ", ".join(f"{key.name}{' DESC' if key.is_descending else ''} NULLS LAST" for key in order)
    condition = "project_id = $1 AND search_words(title, description) @@ search_terms($2)"
    found = await crowd.connection.fetch(
        f"SELECT id, count(*) OVER () FROM tasks WHERE {condition} ORDER BY {by} LIMIT {2 * SIZE}", crowd.largest, words
    )
    ids, matches = [row["id"] for row in found], found[0]["count"] if found else 0
    first = await crowd.page(queries.tasks_of_project, sort, is_counted=True, q=words)
    assert [row["id"] for row in first if row["id"]] == ids[: SIZE + 1]
    assert first[0]["_total"] == (None if matches > MAX_COUNTED else matches)
    if matches > SIZE:
        position = Position([first[SIZE - 1][key.name] for key in order])
        following = await crowd.page(queries.tasks_of_project, sort, position, q=words)
        assert [row["id"] for row in following][:SIZE] == ids[SIZE:]


@pytest.mark.parametrize("listed", [queries.tasks_of_project, queries.visible_tasks])
async def test_words_of_others_cost_no_reads(crowd: Crowd, listed: ListQuery) -> None:
    # Begun by all words of projects that are not the stranger's, by one, and by none: each reads the same.
    own = crowd._replace(caller=crowd.stranger, largest=crowd.strangers_own)
    read = {}
    for words in ("t", "task", "12343", "nothing", "-task", '"task 7"'):
        plan = await own.plan_as_sent(listed, "-priority", q=words)
        read[words] = pages_read(plan)
    # The stranger's own five, which the last but one finds, are read by their ids.
    read["-task"] -= 5 * 4
    assert max(read.values()) <= 1.5 * min(value for words, value in read.items() if words != "-task") < 100, read


@pytest.mark.parametrize("listed", [queries.tasks_of_project, queries.visible_tasks])
@pytest.mark.parametrize("sort", ["-priority", "title", "updated_at,-due_date"])
async def test_no_list_reads_tasks_of_others(crowd: Crowd, listed: ListQuery, sort: str) -> None:
    own = crowd._replace(caller=crowd.stranger, largest=crowd.strangers_own)
    asked: list[dict[str, Any]] = [
        {"priority_gte": 0},
        {"completed": False},
        {"due_date_is_null": True},
        {"q": "-task"},
    ]
    for filters in asked:
        for planned in (own.plan_by_value(*own.statement(listed, sort, is_counted=True, **filters)),
                        own.plan_as_sent(listed, sort, is_counted=True, **filters)):  # fmt: skip
            assert rows_read(await planned) <= 2 * 5, filters


async def test_project_search_reads_no_projects_of_others(crowd: Crowd) -> None:
    await crowd.connection.execute(
        "INSERT INTO projects (id, name) SELECT gen_random_uuid(), 'Apiary ' || n FROM generate_series(1, 3000) AS n"
    )
    await crowd.connection.execute("ANALYZE projects")
    own = crowd._replace(caller=crowd.stranger)
    plan = await own.plan_by_value(*own.statement(projects, "-id", q="ap"))
    read = [node for node in nodes(plan) if node.get("Relation Name") == "projects"]
    assert {node["Index Name"] for node in read} == {"projects_pkey"}
    assert all(node["Actual Rows"] + node.get("Rows Removed by Filter", 0) == 1 for node in read)


async def test_sixth_search_is_planned_for_its_words(crowd: Crowd) -> None:
    sql, values = crowd.statement(queries.visible_tasks, "-priority", q="saw 12343")
    async with crowd.connection.transaction():
        await crowd.connection.execute(BY_VALUE)
        search = await crowd.connection.prepare(sql)
        for _ in range(8):
            await search.fetch(*values)
        planned = await crowd.connection.fetchrow(
            "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE name = $1", search.get_name()
        )
    assert tuple(planned) == (0, 8)


def day(number: int) -> date:
    """One of the 700 days by which tasks are due."""
    return date(2026, 1, 1) + timedelta(days=number)


PLANNED_ONCE: list[tuple[str, dict[str, Any]]] = [
    ("-priority", {"completed": True}),
    ("due_date", {"completed": False}),
    ("title", {"completed": True}),
    ("-priority", {"completed": False, "priority_gte": 5}),
    ("-priority", {"priority": 3}),
    *(("-priority", {"completed": False, "priority_gte": least}) for least in (0, 6, 100)),
    *(("priority", {"priority_gt": least, "priority_lt": most}) for least, most in ((2, 4), (-1, 100), (7, 9))),
    *(("due_date", {"due_date_gte": day(first), "due_date_lt": day(last)}) for first, last in ((0, 700), (300, 301))),
    *(("-due_date", {"due_date_lte": day(last), "completed": True}) for last in (-1, 3, 800)),
    ("created_at", {"created_at_gte": datetime(2020, 1, 1, tzinfo=UTC)}),
    ("-created_at", {"created_at_gte": datetime(2100, 1, 1, tzinfo=UTC), "completed": False}),
]
"""Orders and filters that are not planned for their values, some of which match all, and some nothing."""


@pytest.mark.parametrize("listed", [queries.tasks_of_project, queries.visible_tasks])
@pytest.mark.parametrize(("sort", "filters"), PLANNED_ONCE)
async def test_one_plan_for_all_values_reads_no_more(
    crowd: Crowd, listed: ListQuery, sort: str, filters: dict[str, Any]
) -> None:
    assert not listed.is_planned_by_value(filters, order_of(sort, "id"))
    for own in (crowd, crowd._replace(caller=crowd.stranger, largest=crowd.strangers_own)):
        asked = own.statement(listed, sort, is_counted=True, **filters)
        once, by_value = await own.plan(*asked), await own.plan_by_value(*asked)
        assert once["Actual Rows"] == by_value["Actual Rows"]
        assert rows_read(once) <= 1.1 * rows_read(by_value) + 2 * OTHERS
        # Off the index of the order, not in that of the table.
        assert pages_read(once) <= 1.2 * pages_read(by_value) + rows_read(once) + 4 * OTHERS


@pytest.mark.parametrize(
    ("sort", "filters"),
    [("title", ["q"]), ("-relevance", ["q"]), ("priority,title", ["q"]), ("-priority", ["q", "priority_gte"])],
)
def test_searches_that_may_take_long_have_connections_of_their_own(sort: str, filters: list[str]) -> None:
    assert queries.tasks_of_project.is_planned_by_value(filters, order_of(sort, "id"))
    assert not queries.tasks_of_project.is_planned_by_value(["q", "completed"], order_of("-priority", "id"))


@pytest.mark.parametrize("listed", [queries.tasks_of_project, queries.visible_tasks])
def test_filters_that_no_index_serves_have_none(listed: ListQuery) -> None:
    made = [str(CreateIndex(index)) for index in Task.metadata.tables["tasks"].indexes]
    assert [name for name in ("completed", "priority") if any(name in index for index in made)] == ["priority"]
    assert listed.unindexed == {"completed"}


async def test_narrow_range_is_read_from_its_index(crowd: Crowd) -> None:
    day = (await crowd.position_at("due_date", TASKS * 2 // 5)).values[0]
    plan = await crowd.plan_by_value(
        *crowd.statement(queries.tasks_of_project, "due_date", due_date_gte=day, due_date_lte=day)
    )
    assert indexes(plan) == {"tasks_by_due_date_idx"}
    assert rows_read(plan) <= 2 * (SIZE + 1)


@pytest.mark.parametrize("listed", [queries.tasks_of_project, queries.visible_tasks])
async def test_list_by_label_or_assignee_reads_matches_or_a_page(crowd: Crowd, listed: ListQuery) -> None:
    common, rare = crowd.labels
    asked: list[tuple[int, dict[str, Any]]] = [
        (40, {"label_id": [rare]}),
        (40, {"assignee_id": [crowd.caller], "completed": False}),
        (40, {"label_id": [rare], "assignee_id": [crowd.caller]}),
        (2 * SIZE, {"label_id": [common]}),
        (4 * SIZE, {"label_id": [rare, common]}),
    ]
    for most, filters in asked:
        plan = await crowd.plan_by_value(*crowd.statement(listed, "-priority", **filters))
        assert rows_read(plan) <= 2 * most + OTHERS, filters
        references = [node for node in nodes(plan) if node.get("Relation Name") in {"task_labels", "task_assignees"}]
        assert all("Index" in node["Node Type"] for node in references)
        assert sum(node["Actual Rows"] * node["Actual Loops"] for node in references) <= (OTHERS + 2) * most, filters


@pytest.mark.parametrize("listed", [queries.tasks_of_project, queries.visible_tasks])
async def test_list_of_blocked_tasks_reads_blockers_or_a_page(crowd: Crowd, listed: ListQuery) -> None:
    blocked = await crowd.plan_by_value(*crowd.statement(listed, "-priority", is_blocked=True))
    assert blocked["Actual Rows"] == 39
    assert rows_read(blocked) <= 2 * 40 + OTHERS
    others = await crowd.plan_by_value(*crowd.statement(listed, "-priority", is_blocked=False))
    assert others["Actual Rows"] == SIZE + 1
    assert rows_read(others) <= (OTHERS + 2) * (SIZE + 1) + 40
    assert not any(node["Node Type"] == "Seq Scan" for plan in (blocked, others) for node in nodes(plan))


@pytest.mark.parametrize("listed", [queries.tasks_of_project, queries.visible_tasks])
async def test_list_of_subtasks_reads_them_or_a_page(crowd: Crowd, listed: ListQuery) -> None:
    (parent,) = await crowd.connection.fetchrow("SELECT id FROM tasks WHERE external_id = 'JIRA-17'")
    asked: list[tuple[int, int, dict[str, Any]]] = [
        (40, 40, {"parent_id": parent}),
        (40, 40, {"parent_id": parent, "completed": False}),
        (40, 40, {"parent_id_is_null": False}),
        (SIZE + 1, SIZE + 1, {"parent_id_is_null": True}),
        (1, 1, {"external_id": "JIRA-17"}),
    ]
    for shown, most, filters in asked:
        plan = await crowd.plan_by_value(*crowd.statement(listed, "-priority", **filters))
        assert plan["Actual Rows"] == shown, filters
        assert rows_read(plan) <= (OTHERS + 2) * (most + 1), filters
        assert pages_read(plan) < 40 * 8 + (OTHERS + 2) * SIZE, filters


async def test_tasks_of_oneself_cost_nothing_for_those_of_others(crowd: Crowd) -> None:
    asked = crowd.statement(queries.visible_tasks, "-priority", assignee_id=[crowd.caller], completed=False)
    plan = await crowd.plan_by_value(*asked)
    assert plan["Actual Rows"] > 1
    assert pages_read(plan) < 40 * 8 + OTHERS * 10


async def test_total_is_read_from_maintained_counts(crowd: Crowd) -> None:
    variant = ListVariant(queries.tasks_of_project.order)
    statement = queries.tasks_of_project.statement(permissions(Role.VIEWER)[False, False], variant)
    values = {"caller_id": crowd.caller, "project_id": crowd.largest, "limit": SIZE + 1, "offset": 0}
    plan = await crowd.plan(statement.sql, statement.arguments(values))
    assert rows_read(plan) <= SIZE + 1
    assert plan["Actual Rows"] == SIZE + 1


async def test_without_its_index_the_same_statement_reads_and_sorts_all(crowd: Crowd) -> None:
    """The last test: what the others look for is there to be found."""
    await crowd.connection.execute("DROP INDEX tasks_by_priority_idx")
    plan = await crowd.plan(*crowd.statement(queries.tasks_of_project, "-priority"))
    assert sorts(plan)
    assert rows_read(plan) > 0.99 * TASKS
