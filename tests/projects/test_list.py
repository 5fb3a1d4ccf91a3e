"""Listing projects."""

from app.auth.models import User
from app.core.database.database import Database
from tests.projects.factories import project_of
from tests.support.client import Api


async def test_newest_comes_first_page_by_page(api: Api, user: User, database: Database) -> None:
    projects = [await project_of(database, user) for _ in range(5)]
    newest_first = [str(project.id) for project in reversed(projects)]
    pages = [(await api.get(f"/projects?page={page}&size=2")).json() for page in (1, 2, 3, 4)]
    assert [[item["id"] for item in page["items"]] for page in pages] == [
        newest_first[:2],
        newest_first[2:4],
        newest_first[4:],
        [],
    ]
    for number, page in enumerate(pages, start=1):
        assert (page["total"], page["page"], page["size"], page["pages"]) == (5, number, 2, 3)


async def test_list_without_projects_is_an_empty_page(api: Api) -> None:
    assert (await api.get("/projects")).json() == {
        "items": [],
        "total": 0,
        "page": 1,
        "size": 50,
        "pages": 0,
        "next_cursor": None,
    }
