"""The README's tour by the tools that FastMCP makes of the OpenAPI document: `python tour.py ADDRESS`."""

import asyncio
import re
import sys
from typing import Any

import httpx2
from fastmcp import Client, FastMCP

# What hosts of language models take for a name; one that is not refuses the whole list of tools.
NAME = re.compile("[a-zA-Z0-9_.-]{1,64}")


class Bridge:
    """The tools of one caller."""

    def __init__(self, address: str, document: dict[str, Any], **headers: str) -> None:
        service = httpx2.AsyncClient(base_url=address, headers=headers, timeout=30, trust_env=False)
        self.tools = Client(FastMCP.from_openapi(document, service, name="Taller"))

    async def __call__(self, tool: str, **arguments: Any) -> Any:
        """Call a tool; what it gives back."""
        async with self.tools as tools:
            return (await tools.call_tool(tool, arguments)).structured_content

    async def refused(self, tool: str, status: int, code: str, **arguments: Any) -> str:
        """Call a tool that refuses; what it tells the model."""
        async with self.tools as tools:
            result = await tools.call_tool(tool, arguments, raise_on_error=False)
        told: str = result.content[0].text
        assert result.is_error, told
        assert re.search(rf"error {status}\b.*\b{code}\b", told, re.DOTALL), told
        return told


def titles(page: dict[str, Any]) -> list[str]:
    return [item["title"] for item in page["items"]]


async def main(address: str) -> None:  # noqa: PLR0915 - a tour is long
    async with httpx2.AsyncClient(base_url=address, trust_env=False) as plain:
        document = (await plain.get("/openapi.json")).json()
    anonymous = Bridge(address, document)

    # Every operation is a tool, and each name one that hosts take.
    async with anonymous.tools as tools:
        listed = await tools.list_tools()
    assert len(listed) == sum(len(operations) for operations in document["paths"].values())
    for tool in listed:
        for name in (tool.name, *tool.input_schema["properties"]):
            assert NAME.fullmatch(name), (tool.name, name)

    # Signing in.
    tokens = await anonymous("login", username="admin", password="1234")
    admin = Bridge(address, document, Authorization=f"Bearer {tokens['access_token']}")

    # A project, once, however often it is sent.
    workshop = {"name": "Workshop", "Idempotency-Key": "fastmcp"}
    project = await admin("create_project", **workshop)
    assert await admin("create_project", **workshop) == project
    here = {"project_id": project["id"]}
    assert await admin("read_project", **here) == project
    assert (project["name"], project["role"], project["tasks_total"]) == ("Workshop", "owner", 0)

    # Tasks.
    await admin("create_task", **here, title="Sweep the floor")
    await admin("create_task", **here, title="Sharpen the chisels", priority=5)
    task = await admin("create_task", **here, title="Buy a workbench", priority=10, due_date="2026-12-01")
    this = {"task_id": task["id"]}

    # Listed by priority, page by page, and by cursor.
    first = await admin("list_tasks", **here, page=1, size=2)
    assert titles(first) == ["Buy a workbench", "Sharpen the chisels"]
    assert (first["page"], first["pages"], first["total"]) == (1, 2, 3)
    assert titles(await admin("list_tasks", **here, page=2, size=2)) == ["Sweep the floor"]
    cursor, found = "", []
    while cursor is not None:
        page = await admin("list_tasks", **here, cursor=cursor, size=2)
        found += [titles(page)]
        cursor = page["next_cursor"]
    assert found == [["Buy a workbench", "Sharpen the chisels"], ["Sweep the floor"]]

    # Sorted, filtered.
    by_title = await admin("list_tasks", **here, sort="-title")
    assert titles(by_title) == ["Sweep the floor", "Sharpen the chisels", "Buy a workbench"]
    undated = await admin("list_tasks", **here, priority_gte=5, due_date_is_null=True)
    assert titles(undated) == ["Sharpen the chisels"]
    due = await admin("list_tasks", **here, due_date="2026-12-01", created_at_gte=task["created_at"])
    assert titles(due) == ["Buy a workbench"]

    # A change leaves everything else as it is; the tag that it was sent with is a condition.
    changed = await admin("update_task", **this, completed=True, **{"If-Match": task["etag"]})
    assert (changed["completed"], changed["priority"], changed["due_date"]) == (True, 10, "2026-12-01")
    await admin.refused(
        "update_task", 412, "precondition_failed", **this, completed=False, **{"If-Match": task["etag"]}
    )
    cleared = await admin("patch_task", **this, due_date=None)
    assert (cleared["completed"], cleared["due_date"]) == (True, None)

    # Several at once.
    operations = [
        {"op": "create", "task": {"title": "Sort the screws"}},
        {"op": "update", "id": task["id"], "changes": {"due_date": "2026-12-01"}, "if_match": cleared["etag"]},
    ]
    created, updated = (await admin("batch_tasks", **here, operations=operations))["results"]
    assert (created["status"], updated["status"], updated["task"]["due_date"]) == (201, 200, "2026-12-01")
    await admin("delete_task", task_id=created["task"]["id"])

    # An error tells the model what to do about it.
    told = await admin.refused("update_task", 400, "invalid_request", **this, title=" ")
    assert "/title" in told

    # Sharing.
    ana = {"username": "ana", "password": "correct horse battery"}
    assert (await anonymous("register", **ana))["username"] == "ana"
    person = await admin("read_person", username="ana")
    member = await admin("set_member", **here, user_id=person["id"], role="editor")
    assert (member["username"], member["role"]) == ("ana", "editor")
    hers = Bridge(address, document, Authorization=f"Bearer {(await anonymous('login', **ana))['access_token']}")
    shared = (await hers("list_projects"))["items"]
    assert [(item["name"], item["role"], item["tasks_total"], item["tasks_completed"]) for item in shared] == [
        ("Workshop", "editor", 3, 1)
    ]
    await hers("create_task", **here, title="Oil the bench", priority=7)

    # An API key.
    key = await admin("create_api_key", name="nightly report", scopes=["tasks:read"])
    program = Bridge(address, document, **{"X-API-Key": key["secret"]})
    urgent = await program("list_visible_tasks", size=3, project_id=[project["id"]])
    assert titles(urgent) == ["Buy a workbench", "Oil the bench", "Sharpen the chisels"]
    await program.refused("delete_task", 403, "insufficient_scope", **this)

    # Staying, and leaving.
    renewed = await anonymous("refresh_tokens", refresh_token=tokens["refresh_token"])
    again = Bridge(address, document, Authorization=f"Bearer {renewed['access_token']}")
    await again("logout")
    await again.refused("list_projects", 401, "invalid_token")


asyncio.run(main(sys.argv[1]))
