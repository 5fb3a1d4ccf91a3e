"""A week of a team of five, told through HTTP, from the first project to its archiving, with twenty editors at once."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI

from app.core.database.database import Database
from app.tasks.models import MAX_LEVELS
from tests.journeys.test_first_week import Office, Person
from tests.support.client import Api, assert_problem

TEAM = ("ana", "ben", "cleo", "dan", "eva")
EDITORS = 20
STEPS = 25
LABELS = ("bug", "idea", "rare")


@dataclass
class Week:
    """What all of them work on."""

    people: dict[str, Person]
    ids: dict[str, str]
    projects: list[str]
    """The project of the week, and the one beside it."""

    labels: dict[str, dict[str, str]]
    """By project, by name: both have the same names."""

    shared: str
    """The task on which everybody is."""


@dataclass
class Editor:
    """One of twenty who work at the same time, each on tasks of their own, and on the shared one."""

    week: Week
    name: str
    chance: random.Random
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What each of their tasks should be, by its id: changed here whenever the service says that it was."""

    comments: list[tuple[str, str]] = field(default_factory=list)
    """The task and the text of what they said."""

    async def work(self) -> None:
        """Take one step after the other."""
        await self.create()
        steps = (
            *(self.create, self.rename, self.complete, self.label, self.assign, self.comment, self.comment_on_shared),
            *(self.batch, self.move, self.delete, self.join_shared, self.wait_for_another, self.put_below),
        )
        for _ in range(STEPS):
            await self.chance.choice(steps)()

    @property
    def api(self) -> Api:
        """How this person calls the service."""
        return self.week.people[self.name].api

    def _one(self) -> str:
        return self.chance.choice(sorted(self.tasks))

    async def _set(self, task: str, changes: dict[str, Any]) -> None:
        answer = await self.api.patch(f"/tasks/{task}", json=changes)
        assert answer.status_code == 200, answer.text
        self.tasks[task] |= changes

    async def create(self) -> None:
        """A new task of one's own."""
        title = f"{self.name} {self.chance.random()}"
        project = self.chance.choice(self.week.projects)
        task = await self.week.people[self.name].post(f"/projects/{project}/tasks/", {"title": title})
        assert task["created_by"] == self.week.ids[self.name]
        members = ("title", "project_id", "completed", "parent_id", "label_ids", "assignee_ids")
        self.tasks[task["id"]] = {name: task[name] for name in members}

    async def rename(self) -> None:
        """Another title."""
        await self._set(self._one(), {"title": f"{self.name} {self.chance.random()}"})

    async def complete(self) -> None:
        """Done, or not yet."""
        await self._set(self._one(), {"completed": self.chance.random() < 0.7})

    async def label(self) -> None:
        """Some labels of its project."""
        task = self._one()
        labels = self.week.labels[self.tasks[task]["project_id"]]
        names = self.chance.sample(LABELS, self.chance.randint(0, len(LABELS)))
        await self._set(task, {"label_ids": sorted(labels[name] for name in names)})

    async def assign(self) -> None:
        """Some of the team."""
        people = self.chance.sample(TEAM, self.chance.randint(0, 3))
        await self._set(self._one(), {"assignee_ids": sorted(self.week.ids[name] for name in people)})

    async def comment(self) -> None:
        """Something about a task of one's own."""
        await self._say(self._one())

    async def comment_on_shared(self) -> None:
        """Something about the task of everybody."""
        await self._say(self.week.shared)

    async def _say(self, task: str) -> None:
        body = f"{self.name} says {self.chance.random()}"
        await self.week.people[self.name].post(f"/tasks/{task}/comments/", {"body": body})
        self.comments.append((task, body))

    async def join_shared(self) -> None:
        """Add oneself and a label to the task of everybody."""
        label = self.week.labels[self.week.projects[0]][self.chance.choice(LABELS)]
        for part in (f"assignees/{self.week.ids[self.name]}", f"labels/{label}"):
            answer = await self.api.put(f"/tasks/{self.week.shared}/{part}")
            assert answer.status_code == 204, answer.text

    async def wait_for_another(self) -> None:
        """Let the task of everybody wait for one's own, and no longer."""
        address = f"/tasks/{self.week.shared}/blockers/{self._one()}"
        answer = await self.api.put(address)
        if answer.status_code == 409:
            assert_problem(answer, 409, "too_many_blockers")
        elif answer.status_code != 204:
            # It is in the other project.
            assert_problem(answer, 404, "task_not_found")
        else:
            assert (await self.api.delete(address)).status_code == 204

    async def put_below(self) -> None:
        """One task below another one of one's own, or below none."""
        task, parent = self._one(), self._one()
        wanted = None if task == parent else parent
        if wanted is not None and self.tasks[task]["project_id"] != self.tasks[parent]["project_id"]:
            answer = await self.api.patch(f"/tasks/{task}", json={"parent_id": wanted})
            assert_problem(answer, 400, "invalid_request")
        elif wanted is not None and task in self._above(parent):
            answer = await self.api.patch(f"/tasks/{task}", json={"parent_id": wanted})
            assert_problem(answer, 409, "task_cycle")
        elif wanted is None or len(self._above(parent)) + self._levels(task) <= MAX_LEVELS:
            await self._set(task, {"parent_id": wanted})

    def _above(self, task: str) -> list[str]:
        """A task and those above it."""
        parent = self.tasks[task]["parent_id"]
        return [task] if parent is None else [task, *self._above(parent)]

    def _below(self, task: str) -> list[str]:
        """A task and those below it."""
        return [one for one in self.tasks if task in self._above(one)]

    def _levels(self, task: str) -> int:
        return max(len(self._above(one)) for one in self._below(task)) - len(self._above(task)) + 1

    async def batch(self) -> None:
        """A new task and a change of another one, at once or not at all."""
        project = self.chance.choice(self.week.projects)
        title = f"{self.name} {self.chance.random()}"
        operations: list[dict[str, Any]] = [{"op": "create", "task": {"title": title, "completed": True}}]
        there = [task for task, values in self.tasks.items() if values["project_id"] == project]
        if there:
            changes = {"title": f"{title} too", "completed": False}
            operations.append({"op": "update", "id": there[0], "changes": changes})
        answer = await self.api.post(f"/projects/{project}/tasks/batch", json={"operations": operations})
        assert answer.status_code == 200, answer.text
        new = answer.json()["results"][0]["task"]
        self.tasks[new["id"]] = {
            "title": title,
            "project_id": project,
            "completed": True,
            "parent_id": None,
            "label_ids": [],
            "assignee_ids": [],
        }
        if there:
            self.tasks[there[0]] |= changes

    async def move(self) -> None:
        """To the other project, where labels have the same names and the same people are, with all that is below."""
        task = self._one()
        here = self.tasks[task]["project_id"]
        (there,) = {*self.week.projects} - {here}
        names = {id_: name for name, id_ in self.week.labels[here].items()}
        along = self._below(task)
        await self._set(task, {"project_id": there})
        self.tasks[task]["parent_id"] = None
        for one in along:
            labels = sorted(self.week.labels[there][names[id_]] for id_ in self.tasks[one]["label_ids"])
            self.tasks[one] |= {"project_id": there, "label_ids": labels}

    async def delete(self) -> None:
        """One of several, with all that is below it."""
        task = self._one()
        gone = self._below(task)
        if len(gone) < len(self.tasks):
            assert (await self.api.delete(f"/tasks/{task}")).status_code == 204
            self.tasks = {one: values for one, values in self.tasks.items() if one not in gone}
            self.comments = [said for said in self.comments if said[0] not in gone]


async def everything(person: Person, path: str) -> list[Any]:
    """All items of a list, page by page."""
    items, cursor = [], ""
    while True:
        page = await person.get(f"{path}{'&' if '?' in path else '?'}size=100&cursor={cursor}")
        items += page["items"]
        if not (cursor := page["next_cursor"]):
            return items


async def new_week(office: Office) -> Week:
    """Monday: five people, two projects, and labels of the same names in both."""
    people = {name: await office.register(name) for name in TEAM}
    ids = {name: await person.id() for name, person in people.items()}
    ana, projects, labels = people["ana"], [], {}
    for name in ("Launch", "Later"):
        project = await ana.post("/projects/", {"name": name})
        for colleague in TEAM[1:]:
            await ana.share(project, colleague, "editor")
        projects.append(project["id"])
        labels[project["id"]] = {
            label: (await ana.post(f"/projects/{project['id']}/labels/", {"name": label}))["id"] for label in LABELS
        }
    shared = await ana.post(f"/projects/{projects[0]}/tasks/", {"title": "Launch it", "priority": 10})
    return Week(people, ids, projects, labels, shared["id"])


async def test_a_team_of_five_works_a_week(app: FastAPI, anonymous: Api, database: Database) -> None:
    week = await new_week(Office(app, anonymous))
    ana, ben = week.people["ana"], week.people["ben"]
    editors = [Editor(week, TEAM[number % len(TEAM)], random.Random(number)) for number in range(EDITORS)]
    await asyncio.gather(*(editor.work() for editor in editors))

    # Friday: nothing is lost, and nothing is there twice.
    expected = {task: values for editor in editors for task, values in editor.tasks.items()}
    listed = await everything(ana, "/tasks/")
    assert Counter(task["id"] for task in listed) == Counter([*expected, week.shared])
    for task in listed:
        if task["id"] != week.shared:
            assert {name: task[name] for name in expected[task["id"]]} == expected[task["id"]]
            assert (task["completed_at"] is not None) == task["completed"]
            below = [one["completed"] for one in listed if one["parent_id"] == task["id"]]
            assert (task["subtasks_total"], task["subtasks_completed"]) == (len(below), sum(below))
    for project in week.projects:
        here = [task for task in listed if task["project_id"] == project]
        shown = await ana.get(f"/projects/{project}")
        assert (shown["tasks_total"], shown["tasks_completed"]) == (len(here), sum(task["completed"] for task in here))
    comments = [said for editor in editors for said in editor.comments]
    for task in {task for task, _ in comments}:
        said = Counter(comment["body"] for comment in await everything(ana, f"/tasks/{task}/comments/"))
        assert said == Counter(body for about, body in comments if about == task)
    for name, person in week.people.items():
        mine = {task["id"] for task in listed if week.ids[name] in task["assignee_ids"] and not task["completed"]}
        morning = await everything(person, "/tasks/?assignee_id=me&completed=false")
        assert Counter(task["id"] for task in morning) == Counter(mine)
    rare = week.labels[week.projects[0]]["rare"]
    assert {task["id"] for task in await everything(ana, f"/tasks/?label_id={rare}")} == {
        task["id"] for task in listed if rare in task["label_ids"]
    }
    assert (await ana.get(f"/tasks/{week.shared}/blockers/"))["total"] == 0

    # And then it is over.
    address = f"/projects/{week.projects[0]}"
    assert_problem(await ben.api.patch(address, json={"is_archived": True}), 403, "role_required")
    archived = await ana.api.patch(address, json={"is_archived": True})
    assert (archived.status_code, archived.json()["is_archived"]) == (200, True)
    assert_problem(await ben.api.post(f"{address}/tasks/", json={"title": "Too late"}), 409, "project_archived")
    assert await ben.projects() == {"Later": "editor"}
    left = {task["id"] for task in await everything(ben, "/tasks/?is_archived=true")}
    assert left == {task["id"] for task in listed if task["project_id"] == week.projects[0]}
