"""What a migration makes of rows that are already there, while others write."""

import asyncio

import asyncpg
import pytest

from app.cli.upgrading import upgrade
from app.core.ids import uuid7
from tests.migrations.history import downgrade, empty_database, fetch, history, plain
from tests.support import server


def test_projects_that_are_there_belong_to_the_first_administrator(server_url: str) -> None:
    first, second, nobody = uuid7(), uuid7(), uuid7()
    project = uuid7()
    with empty_database(server_url) as url:
        upgrade(url, "0001")
        server.execute(
            url,
            "INSERT INTO users (id, username, hashed_password, is_superuser, created_at) VALUES "
            f"('{second}', 'second', 'x', true, '2026-02-01'), ('{first}', 'first', 'x', true, '2026-01-01'), "
            f"('{nobody}', 'nobody', 'x', false, '2025-01-01')",
            f"INSERT INTO projects (id, name) VALUES ('{project}', 'Workshop')",
        )
        upgrade(url)
        assert fetch(url, "SELECT project_id || ' ' || user_id || ' ' || role FROM project_members") == [
            f"{project} {first} owner"
        ]


def test_without_an_administrator_projects_belong_to_nobody_and_nothing_fails(server_url: str) -> None:
    with empty_database(server_url) as url:
        upgrade(url, "0001")
        server.execute(url, f"INSERT INTO projects (id, name) VALUES ('{uuid7()}', 'Workshop')")
        upgrade(url)
        assert fetch(url, "SELECT role FROM project_members") == []


def test_tasks_that_are_there_are_counted_exactly_while_others_write(server_url: str) -> None:
    """Writers go on between the triggers and the backfill, and during it."""

    async def write(url: str, stop: asyncio.Event) -> None:
        connection = await asyncpg.connect(plain(url))
        try:
            while not stop.is_set():
                await connection.execute(
                    "INSERT INTO tasks (id, project_id, title, completed) "
                    "SELECT gen_random_uuid(), id, 'x', random() < 0.5 FROM projects"
                )
                await connection.execute("UPDATE tasks SET completed = NOT completed WHERE random() < 0.05")
                await connection.execute("DELETE FROM tasks WHERE random() < 0.01")
        finally:
            await connection.close()

    async def migrate_while_others_write(url: str) -> None:
        stop = asyncio.Event()
        writers = [asyncio.create_task(write(url, stop)) for _ in range(2)]
        await asyncio.sleep(0.1)
        await asyncio.to_thread(upgrade, url, "0003")
        await asyncio.sleep(0.1)
        await asyncio.to_thread(upgrade, url)
        await asyncio.sleep(0.1)
        stop.set()
        # Deadlocks among the writers of this test are theirs; what they did is rolled back and not counted.
        await asyncio.gather(*writers, return_exceptions=True)

    with empty_database(server_url) as url:
        upgrade(url, "0002")
        server.execute(
            url,
            "INSERT INTO projects (id, name) SELECT gen_random_uuid(), 'Workshop' FROM generate_series(1, 5)",
            "INSERT INTO tasks (id, project_id, title) "
            "SELECT gen_random_uuid(), id, 'x' FROM projects, generate_series(1, 200)",
        )
        asyncio.run(migrate_while_others_write(url))
        kept = (
            "SELECT project_id || ' ' || sum(total) || ' ' || sum(completed) FROM project_task_counts "
            "GROUP BY project_id"
        )
        true = (
            "SELECT project_id || ' ' || count(*) || ' ' || count(*) FILTER (WHERE completed) FROM tasks "
            "GROUP BY project_id"
        )
        assert sorted(fetch(url, kept)) == sorted(fetch(url, true))
        assert len(fetch(url, true)) == 5


def test_states_are_numbered_from_1_without_writing_to_any_row(server_url: str) -> None:
    tasks, projects = (
        next(script for script in history() if script.doc == f"Number the states of {name}.")
        for name in ("tasks", "projects")
    )
    with empty_database(server_url) as url:
        upgrade(url, str(tasks.down_revision))
        server.execute(
            url,
            "INSERT INTO projects (id, name) SELECT gen_random_uuid(), 'Workshop' FROM generate_series(1, 5)",
            "INSERT INTO tasks (id, project_id, title) SELECT gen_random_uuid(), id, 'Saw' FROM projects",
        )
        files = "SELECT pg_relation_filenode(name) FROM unnest(ARRAY['tasks', 'projects']) AS name"
        before = fetch(url, files)
        upgrade(url, projects.revision)
        assert fetch(url, files) == before
        for table, column in (("tasks", "title"), ("projects", "name")):
            assert fetch(url, f"SELECT DISTINCT version FROM {table}") == [1]
            server.execute(url, f"UPDATE {table} SET {column} = {column}")
            assert fetch(url, f"SELECT DISTINCT version FROM {table}") == [1]
            server.execute(url, f"UPDATE {table} SET {column} = 'Oil'")
            assert fetch(url, f"SELECT DISTINCT version FROM {table}") == [2]
        assert fetch(url, "SELECT DISTINCT require_if_match FROM projects") == [False]


def test_search_works_in_both_releases_while_words_are_made(server_url: str) -> None:
    made = next(script for script in history() if script.doc == "Make words of what is searched.")
    title = "Fix login/logout"

    async def write(url: str, stop: asyncio.Event) -> int:
        connection = await asyncpg.connect(plain(url))
        written = 0
        try:
            while not stop.is_set():
                await connection.execute(
                    "INSERT INTO tasks (id, project_id, title) SELECT gen_random_uuid(), id, $1 FROM projects", title
                )
                written += 5
        finally:
            await connection.close()
        return written

    async def migrate_while_others_write(url: str) -> int:
        stop = asyncio.Event()
        writer = asyncio.create_task(write(url, stop))
        await asyncio.to_thread(upgrade, url)
        stop.set()
        return await writer

    with empty_database(server_url) as url:
        upgrade(url, str(made.down_revision))
        server.execute(
            url,
            "INSERT INTO projects (id, name) SELECT gen_random_uuid(), 'Workshop' FROM generate_series(1, 5)",
            "INSERT INTO tasks (id, project_id, title) "
            f"SELECT gen_random_uuid(), id, '{title}' FROM projects, generate_series(1, 200)",
        )
        written = asyncio.run(migrate_while_others_write(url))
        assert written > 0
        found = (
            "SELECT count(*) FROM tasks WHERE search_entries(title, description, project_id) "
            "@@ search_entries_for(search_terms('logout'), project_id)"
        )
        assert fetch(url, found) == [1_000 + written]
        before = (
            "SELECT count(*) FROM tasks WHERE search_document(title, description, project_id) "
            "@@ search_query('fix', project_id)"
        )
        assert fetch(url, before) == [1_000 + written]


@pytest.mark.parametrize("what", ["Make plain words at less cost.", "Make words and sort keys by few steps."])
def test_cheaper_words_and_sort_keys_equal_the_former(server_url: str, what: str) -> None:
    made = next(script for script in history() if script.doc == what)
    pieces = (
        "Fix login/logout",
        "a - b_c\n\t-17",
        "x" * 99,
        "y" * 100,
        "Z" * 250,
        "plan, " * 40,
        "",
        "İstanbul ß",
        "管理 b-c",
        "é" * 120,
    )
    quoted = ", ".join(f"('{piece}')" for piece in pieces)
    words = (
        "SELECT search_words(a.t, nullif(b.t, ''))::text || sort_key(a.t) "
        f"FROM (VALUES {quoted}) AS a (t), (VALUES {quoted}) AS b (t) "
        'ORDER BY a.t COLLATE "C", b.t COLLATE "C"'
    )
    with empty_database(server_url) as url:
        upgrade(url, str(made.down_revision))
        before = fetch(url, words)
        upgrade(url, made.revision)
        assert fetch(url, words) == before
        downgrade(url, str(made.down_revision))
        assert fetch(url, words) == before
        assert len(set(before)) == len(pieces) ** 2


def test_open_sessions_use_indexes_after_functions_are_replaced(server_url: str) -> None:
    made = next(script for script in history() if script.doc == "Make words and sort keys by few steps.")
    nowhere = "00000000-0000-0000-0000-000000000000"
    search = (
        f"EXPLAIN SELECT id FROM tasks WHERE project_id IS NOT DISTINCT FROM '{nowhere}' AND "
        "search_words_in(search_words(title, description), project_id) "
        f"@@ search_terms_in(search_terms('saw'), '{nowhere}')"
    )
    order = (
        f"EXPLAIN SELECT id FROM tasks WHERE project_id = '{nowhere}' "
        'ORDER BY sort_key(title COLLATE "C"), id LIMIT 9'
    )

    async def session(url: str) -> list[set[str]]:
        connection = await asyncpg.connect(server.plain_url(url))

        async def indexes() -> set[str]:
            lines = [row[0] for query in (search, order) for row in await connection.fetch(query)]
            return {name for name in ("tasks_words_idx", "tasks_by_title_idx") if any(name in line for line in lines)}

        try:
            await connection.execute("SET enable_seqscan = off; SET enable_sort = off")
            used = [await indexes()]
            await asyncio.to_thread(upgrade, url, made.revision)
            used.append(await indexes())
            # It looks for functions in no schema but those that are named.
            await connection.execute("INSERT INTO projects (id, name) VALUES (gen_random_uuid(), 'é')")
            await connection.execute(
                "INSERT INTO tasks (id, project_id, title) SELECT gen_random_uuid(), id, 'Säge ' || g "
                "FROM projects, generate_series(1, 100) AS g"
            )
            await connection.execute("VACUUM ANALYZE tasks")
        finally:
            await connection.close()
        return used

    with empty_database(server_url) as url:
        upgrade(url, str(made.down_revision))
        assert asyncio.run(session(url)) == [{"tasks_words_idx", "tasks_by_title_idx"}] * 2


def test_completed_tasks_get_completed_at_and_keep_their_version(server_url: str) -> None:
    first = next(script for script in history() if script.doc == "Say who created a task and when it was completed.")
    shown = "SELECT (id, updated_at, version, completed)::text FROM tasks ORDER BY id"

    async def complete(url: str, stop: asyncio.Event) -> None:
        connection = await asyncpg.connect(plain(url))
        try:
            while not stop.is_set():
                await connection.execute("UPDATE tasks SET completed = NOT completed WHERE title = 'Oil'")
        finally:
            await connection.close()

    async def migrate_while_others_write(url: str) -> None:
        stop = asyncio.Event()
        writer = asyncio.create_task(complete(url, stop))
        await asyncio.to_thread(upgrade, url)
        stop.set()
        await writer

    with empty_database(server_url) as url:
        upgrade(url, str(first.down_revision))
        server.execute(
            url,
            "INSERT INTO projects (id, name) VALUES (gen_random_uuid(), 'Workshop')",
            "INSERT INTO tasks (id, project_id, title, completed, updated_at) SELECT gen_random_uuid(), id, 'Saw', "
            "number % 2 = 0, now() - number * interval '1 day' FROM projects, generate_series(1, 12000) AS number",
            "INSERT INTO tasks (id, project_id, title, completed) SELECT gen_random_uuid(), id, 'Oil', true "
            "FROM projects",
        )
        before = fetch(url, shown.replace("tasks", "tasks WHERE title = 'Saw'"))
        asyncio.run(migrate_while_others_write(url))
        assert fetch(url, shown.replace("tasks", "tasks WHERE title = 'Saw'")) == before
        wrong = "CASE WHEN completed THEN updated_at END IS DISTINCT FROM completed_at"
        assert fetch(url, f"SELECT count(*) FROM tasks WHERE {wrong}") == [0]
