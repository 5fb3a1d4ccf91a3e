"""A label's life, and what each operation costs."""

from app.auth.models import User
from app.core.database.database import Database
from app.labels.models import MAX_LABELS
from tests.labels.factories import LabelFactory
from tests.projects.factories import project_of
from tests.support.client import Api, assert_problem, tag_of
from tests.support.factories import store
from tests.support.queries import query_budget

MEMBERS = ["id", "project_id", "name", "color", "created_at", "updated_at", "etag"]


async def test_a_label_lives_from_post_to_delete(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    created = await api.post(f"/projects/{project.id}/labels/", json={"name": "bug"})
    assert created.status_code == 201
    label = created.json()
    assert list(label) == MEMBERS
    assert (label["name"], label["color"], label["project_id"]) == ("bug", "#808080", str(project.id))
    address = created.headers["location"]
    assert (await api.get(address)).json() == label
    assert (await api.get(f"/projects/{project.id}/labels/")).json()["items"] == [label]
    changed = await api.patch(address, json={"color": "#d73a4a"}, headers={"If-Match": tag_of(created)})
    assert changed.json() == {**label, "color": "#d73a4a", "updated_at": changed.json()["updated_at"], "etag": '"l2"'}
    renamed = await api.put(address, json={"name": "defect"}, headers={"If-Match": tag_of(changed)})
    assert (renamed.json()["name"], renamed.json()["color"]) == ("defect", "#d73a4a")
    assert (await api.get(address)).json() == renamed.json()
    assert_problem(await api.delete(address, headers={"If-Match": tag_of(changed)}), 412, "precondition_failed")
    assert (await api.delete(address, headers={"If-Match": tag_of(renamed)})).status_code == 204
    assert_problem(await api.get(address), 404, "label_not_found")


async def test_labels_are_listed_by_name(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    for name in ("zebra", "Äpfel", "bug", "Chore"):
        assert (await api.post(f"/projects/{project.id}/labels/", json={"name": name})).status_code == 201
    listed = await api.get(f"/projects/{project.id}/labels/")
    assert [label["name"] for label in listed.json()["items"]] == ["Äpfel", "bug", "Chore", "zebra"]
    first = (await api.get(f"/projects/{project.id}/labels/?size=2&cursor=")).json()
    rest = (await api.get(f"/projects/{project.id}/labels/?cursor={first['next_cursor']}")).json()
    assert [label["name"] for label in first["items"] + rest["items"]] == ["Äpfel", "bug", "Chore", "zebra"]
    assert rest["next_cursor"] is None


async def test_label_name_is_unique_in_its_project_without_letter_case(
    api: Api, user: User, database: Database
) -> None:
    project, other = [await project_of(database, user) for _ in range(2)]
    address = f"/projects/{project.id}/labels/"
    for name, alike, different in (("Bug", "bUG", "bugs"), ("Café", "CAFÉ", "cafe"), ("Ошибка", "ошибкА", "ошибки")):
        first = await api.post(address, json={"name": name})
        assert first.status_code == 201
        assert_problem(await api.post(address, json={"name": alike}), 409, "label_name_taken")
        second = await api.post(address, json={"name": different})
        assert second.status_code == 201
        for method in ("PUT", "PATCH"):
            refused = await api.request(method, second.headers["location"], json={"name": alike})
            assert_problem(refused, 409, "label_name_taken")
        # Its own name in another letter case is no other label's.
        assert (await api.patch(first.headers["location"], json={"name": alike})).json()["name"] == alike
        assert (await api.post(f"/projects/{other.id}/labels/", json={"name": name})).status_code == 201


async def test_a_project_has_at_most_200_labels(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    await store(database, *(LabelFactory.build(project_id=project.id) for _ in range(MAX_LABELS)))
    address = f"/projects/{project.id}/labels/"
    refused = assert_problem(await api.post(address, json={"name": "one more"}), 409, "too_many_labels")
    assert "200" in refused["detail"]
    one = (await api.get(address)).json()["items"][0]
    assert (await api.delete(f"/labels/{one['id']}")).status_code == 204
    assert (await api.post(address, json={"name": "one more"})).status_code == 201


async def test_each_operation_is_one_statement(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    created = await api.post(f"/projects/{project.id}/labels/", json={"name": "bug"})
    address = created.headers["location"]
    with query_budget(database, 6):
        await api.post(f"/projects/{project.id}/labels/", json={"name": "chore"})
        await api.get(f"/projects/{project.id}/labels/")
        await api.get(address)
        await api.put(address, json={"name": "defect"})
        await api.patch(address, json={"name": "bug"})
        await api.delete(address)
