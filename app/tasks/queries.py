"""Statements that return tasks."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    ColumnElement,
    Date,
    Executable,
    FromClause,
    ScalarSelect,
    Select,
    Text,
    Uuid,
    and_,
    any_,
    case,
    cast,
    false,
    func,
    literal_column,
    or_,
    select,
    true,
    union,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, TSQUERY, TSVECTOR, array
from sqlalchemy.orm import InstrumentedAttribute, aliased

from app.core.database.search import TERMS, relevance, words_of
from app.core.database.statements import Column, Rows, compiled, inline, param
from app.core.errors import FieldError, InvalidRequestError
from app.core.listing.params import RELEVANCE, comparisons
from app.core.listing.sorting import Key, Keys, Order, Segment, alphabetical, ordering_of
from app.core.listing.statement import (
    MAX_COUNTED,
    ListSource,
    ListVariant,
    capped_count,
    limit_plus_offset,
    list_query,
    page_of,
    sort_columns,
    total_of,
)
from app.core.preconditions.headers import PreconditionShape
from app.labels.models import Label
from app.projects.models import Member, Project, TaskCount
from app.projects.scopes import Permission, UuidColumn, is_listed, this_project
from app.tasks.models import Task, TaskAssignee, TaskBlocker, TaskLabel
from app.tasks.schemas import TaskRead
from app.tasks.scopes import TASK, Subtasks, subtasks_of, this_task

COLUMNS = (
    Task.id,
    Task.project_id,
    Task.title,
    Task.description,
    Task.priority,
    Task.completed,
    Task.due_date,
    Task.external_id,
    Task.parent_id,
    Task.label_ids,
    Task.assignee_ids,
    Task.created_by,
    Task.completed_at,
    Task.created_at,
    Task.updated_at,
)


def _computed(version: ColumnElement[int], subtasks: Subtasks) -> list[ColumnElement[Any]]:
    """Return the counts of a task's subtasks, and its tag."""
    total, completed = subtasks.number(1), subtasks.number(2)
    return [total.label("subtasks_total"), completed.label("subtasks_completed"), subtasks.tag(version).label("etag")]


_VERSION = Task.__table__.c.version

READ_COLUMNS = (*COLUMNS, *_computed(_VERSION, subtasks_of(Task)))
"""A task's columns, the counts of its subtasks, and its tag."""

NEW_COLUMNS = (*COLUMNS, *_computed(_VERSION, Subtasks(false(), subtasks_of(Task).counts)))
"""The same of a new task, which has no subtasks."""


def list_columns(task: Any) -> list[Any]:
    """Return a task's columns, and what the rest is computed of for the rows of the page only (`read_columns`).

    `task`: the mapped class of tasks, or an alias of it.
    """
    subtasks = subtasks_of(task)
    counts = case((subtasks.is_counted, subtasks.counts)).label("subtasks")
    return [*(getattr(task, column.key) for column in COLUMNS), task.version, counts]


LIST_COLUMNS = list_columns(Task)


def read_columns(page: FromClause) -> list[ColumnElement[Any]]:
    """Return the columns of the tasks on a page, the counts of their subtasks, and their tags."""
    subtasks = Subtasks(page.c.subtasks.is_not(None), page.c.subtasks)
    return [*(page.c[column.name] for column in COLUMNS), *_computed(page.c.version, subtasks)]


@compiled(model=TaskRead)
def task(permission: Permission, shape: PreconditionShape | None = None) -> Rows:
    """Select one task."""
    return select(*READ_COLUMNS).where(this_task(permission, shape))


WORDS = words_of(Task.title, Task.description)

KEYS: Keys = {
    **{column.key: Key(column) for column in (Task.priority, Task.created_at, Task.updated_at)},
    "title": Key(Task.title, compared=alphabetical),
    "completed": Key(Task.completed),
    "due_date": Key(Task.due_date, is_nullable=True),
    "id": Key(Task.id),
    RELEVANCE: Key(relevance(WORDS)),
}
"""The sort keys of tasks."""

EMPTY: ColumnElement[Any] = literal_column("'[]'")
"""An empty list of ids, as it is stored."""

CONDITIONS = {
    "completed": Task.completed == param("completed", Boolean),
    **comparisons("priority", Task.priority),
    **comparisons("due_date", Task.due_date),
    "due_date_is_null": Task.due_date.is_(None) == param("due_date_is_null", Boolean),
    "external_id": Task.external_id == param("external_id", Text),
    "parent_id": Task.parent_id == param("parent_id", Uuid),
    "parent_id_is_null": Task.parent_id.is_(None) == param("parent_id_is_null", Boolean),
    "label_ids_is_empty": (Task.label_ids == EMPTY) == param("label_ids_is_empty", Boolean),
    "assignee_ids_is_empty": (Task.assignee_ids == EMPTY) == param("assignee_ids_is_empty", Boolean),
    "created_by": Task.created_by == param("created_by", Uuid),
    **comparisons("completed_at", Task.completed_at),
    **comparisons("created_at", Task.created_at),
    **comparisons("updated_at", Task.updated_at),
}
"""The SQL conditions of the filters in `TaskParams`, except those whose condition depends on the project."""

DUE_SOON = 7
"""Days from today within which a task counts as due soon."""

MAX_PRIORITIES = 100
"""Priorities that a summary lists: the highest."""

PROJECT_IDS = "project_id"
OF_PROJECTS = {PROJECT_IDS, "is_archived"}
"""The filters that name projects, or choose them."""


INDEXED = ("priority", "due_date", "created_at")
"""The sort keys of which a project's tasks have an index, which also has the id."""


def _is_search_in_order(filters: Collection[str], order: Order) -> bool:
    """Return whether this is a search in the order of an index. Others may take long: they are planned by value, on
    connections of their own.
    """
    first, *further = order
    is_indexed = [(key.name, key.is_descending) for key in further] == [("id", first.is_descending)]
    return {*filters} - {"completed"} == {"q"} and first.name in INDEXED and is_indexed


@list_query(KEYS, "-priority", model=TaskRead, unindexed=["completed"], planned_once=_is_search_in_order)
def tasks_of_project(permission: Permission, variant: ListVariant) -> ListSource:
    """Select a page of a project's tasks: by default the highest priority first, then the newest first."""
    matching = _matching(variant, param("project_id", Uuid))
    items: Rows | FromClause = matching
    total = _total(variant, matching, TaskCount.project_id == param("project_id", Uuid))
    if _is_search_in_order(variant.filters, variant.order):
        items, total = _searched(variant)
    return ListSource(
        items=items,
        total=total,
        columns=read_columns,
        root=Project.__table__,
        where=this_project(permission),
    )


def _searched(variant: ListVariant) -> tuple[FromClause, Rows]:
    """Return the page and the total of a search that is planned once for all words (`_is_search_in_order`).

    The index of words finds the matches, once for both. Where there are more than are counted, a page is full soon if
    tasks are read in order.
    """
    project_id = param("project_id", Uuid)
    matching = _matching(variant, project_id, is_planned_once=True)
    keys = [KEYS[sort.name].column.label(sort.name) for sort in variant.order]
    found = matching.with_only_columns(*keys).limit(inline(MAX_COUNTED + 1)).cte("found")
    total = select(capped_count(select(found)).cte("number"))
    is_all = total.scalar_subquery().is_not(None)
    found_keys = {sort.name: Key(found.c[sort.name], KEYS[sort.name].is_nullable) for sort in variant.order}
    first = page_of(variant, found_keys, select(found).where(is_all)).subquery("first")
    of_found = select(*LIST_COLUMNS).join_from(first, Task, Task.id == first.c.id)
    others = tuple(name for name in variant.filters if name != "q")
    has_words = WORDS.bool_op("@@")(select(TERMS).scalar_subquery())
    in_order = _matching(variant._replace(filters=others), project_id).where(has_words, ~is_all)
    pages = (of_found.order_by(*ordering_of(variant.order, KEYS, first.c)), page_of(variant, KEYS, in_order))
    return union_all(*pages).lateral("page"), total


@list_query(KEYS, "-priority", model=TaskRead, unindexed=["completed"])
def visible_tasks(permission: Permission, variant: ListVariant) -> ListSource:
    """Select a page of the tasks of all the caller's projects, in the same order.

    A page needs at most the first `limit + offset` tasks of each project, so no more are read.
    """
    seen = (
        select(Project.id)
        .where(permission.on(Project.id), is_listed(variant.filters), *_named(variant, Project.id))
        .subquery("seen")
    )

    def items(segment: Segment) -> Rows:
        of_each = _matching(variant, seen.c.id).where(*segment.conditions)
        first = of_each.order_by(*segment.ordering()).limit(limit_plus_offset()).lateral("first")
        return select(*first.c).select_from(seen.join(first, true())).order_by(*segment.ordering(first.c))

    total = _total(variant, _matching(variant, seen.c.id), TaskCount.project_id == seen.c.id)
    return ListSource(items=items, total=total, columns=read_columns)


def _matching(variant: ListVariant, project_id: ColumnElement[UUID], *, is_planned_once: bool = False) -> Rows:
    """Select the tasks of a project that match the filters, with their sort keys."""
    conditions = {
        **CONDITIONS,
        "q": _has_words(project_id, is_planned_once=is_planned_once),
        "label_id": _has_label(project_id),
        "assignee_id": _has_assignee(project_id),
        "is_blocked": _is_blocked(project_id),
        **dict.fromkeys(OF_PROJECTS, true()),
    }
    filters = (conditions[name] for name in variant.filters)
    return select(*LIST_COLUMNS, *sort_columns(variant, KEYS, LIST_COLUMNS)).where(
        _is_in(variant, project_id, is_planned_once=is_planned_once), *filters
    )


def _has_words(project_id: ColumnElement[UUID], *, is_planned_once: bool) -> ColumnElement[bool]:
    """Return a condition for tasks that match the query `q`, which the index of words serves."""
    entries = func.search_entries(Task.title, Task.description, Task.project_id, type_=TSVECTOR)
    phrases: ColumnElement[Any] = func.search_phrases(param("q", Text), type_=TSQUERY)
    found = entries.bool_op("@@")(func.search_entries_for(TERMS, project_id, type_=TSQUERY))
    # NULL for a query without phrases, and so true before any row is read.
    if not is_planned_once:
        return found & WORDS.bool_op("@@")(phrases).is_not(false())
    phrases = select(phrases).scalar_subquery()
    return found & case((phrases.is_(None), true()), else_=WORDS.bool_op("@@")(phrases))


def _has_label(project_id: ColumnElement[UUID]) -> ColumnElement[bool]:
    """Return a condition for tasks with any of the labels. The planner knows how many have them: it reads either
    those, or tasks in the order of the list until the page is full.
    """
    row = select(TaskLabel.task_id).where(
        TaskLabel.task_id == Task.id,
        TaskLabel.label_id == any_(param("label_id", ARRAY(Uuid))),
        TaskLabel.project_id == project_id,
    )
    return row.correlate_except(TaskLabel).exists()


def _has_assignee(project_id: ColumnElement[UUID]) -> ColumnElement[bool]:
    """Return a condition for tasks with any of the assignees, which is always read from the assignees' index: in a
    project where they have little to do, other people's tasks cost nothing.
    """
    tasks = select(TaskAssignee.task_id).where(
        TaskAssignee.user_id == any_(param("assignee_id", ARRAY(Uuid))), TaskAssignee.project_id == project_id
    )
    return Task.id == any_(func.array(tasks.correlate_except(TaskAssignee).scalar_subquery(), type_=ARRAY(Uuid)))


def _is_blocked(project_id: ColumnElement[UUID]) -> ColumnElement[bool]:
    """Return a condition for tasks that wait for an open task, or do not, as asked.

    Those that wait are read from the blockers of the project. Most do not, so that they are found by looking at each.
    """
    blocker = aliased(Task, name="blocker")
    waiting = (
        select(TaskBlocker.task_id)
        .join(blocker, blocker.id == TaskBlocker.blocker_id)
        .where(~blocker.completed)
        .correlate_except(TaskBlocker, blocker)
    )
    of_project = func.array(waiting.where(TaskBlocker.project_id == project_id).scalar_subquery(), type_=ARRAY(Uuid))
    waits = waiting.where(TaskBlocker.task_id == Task.id).exists()
    # Planned for the value, of which only one of the two is left.
    return case((param("is_blocked", Boolean), Task.id == any_(of_project)), else_=~waits)


def _is_in(variant: ListVariant, project_id: ColumnElement[UUID], *, is_planned_once: bool) -> ColumnElement[bool]:
    if is_planned_once or ("q" in variant.filters and not isinstance(project_id, BindParameter)):
        # The search index suffices. Equality would add an index scan of all the project's tasks.
        return Task.project_id.is_not_distinct_from(project_id)
    return Task.project_id == project_id


def _named(variant: ListVariant, project_id: InstrumentedAttribute[UUID]) -> list[ColumnElement[bool]]:
    named = []
    if PROJECT_IDS in variant.filters:
        named.append(project_id == any_(param(PROJECT_IDS, ARRAY(Uuid))))
    if "label_id" in variant.filters:
        # Each label is of one project. In the others, all tasks would be read to find none.
        labelled = select(Label.project_id).where(Label.id == any_(param("label_id", ARRAY(Uuid))))
        named.append(project_id.in_(labelled))
    if "parent_id" in variant.filters:
        parent = aliased(Task, name="parent")
        named.append(project_id.in_(select(parent.project_id).where(parent.id == param("parent_id", Uuid))))
    return named


def _total(variant: ListVariant, matching: Rows, *of_projects: ColumnElement[bool]) -> Rows:
    """Count the tasks: from the maintained counts if the filters allow it, otherwise up to the limit."""
    filters = set(variant.filters) - OF_PROJECTS
    if filters - {"completed"}:
        return capped_count(matching)
    kept: Column = TaskCount.total
    if filters:
        kept = case((param("completed", Boolean), TaskCount.completed), else_=TaskCount.total - TaskCount.completed)
    return total_of(func.coalesce(cast(func.sum(kept), BigInteger), inline(0))).where(*of_projects)


@compiled
def summary(permission: Permission) -> Rows:
    """Select a summary of a project's tasks: one row for each of the highest priorities, each with the sums of all. Due
    dates are compared with `today`, by default the current day in UTC.
    """
    today = func.coalesce(param("today", Date), cast(func.timezone("UTC", func.now()), Date))
    is_open = ~Task.completed
    number = func.count()
    of_project = Task.project_id == param("project_id", Uuid)
    by_priority = (
        select(
            Task.priority,
            number.label("tasks_total"),
            number.filter(Task.completed).label("tasks_completed"),
            number.filter(is_open, Task.due_date < today).label("overdue"),
            number.filter(is_open, Task.due_date.between(today, today + DUE_SOON)).label("due_soon"),
        )
        .where(of_project)
        .group_by(Task.priority)
        .subquery("by_priority")
    )
    sums = [
        func.coalesce(func.sum(column).over(), 0).cast(BigInteger).label(f"{column.key}_in_all")
        for column in by_priority.c
        if column.key != "priority"
    ]
    highest = (
        select(by_priority, *sums).order_by(by_priority.c.priority.desc()).limit(MAX_PRIORITIES).lateral("highest")
    )
    return (
        select(highest)
        .select_from(Project)
        .outerjoin(highest, true())
        .where(this_project(permission))
        .order_by(highest.c.priority.desc())
    )


@dataclass(frozen=True, slots=True)
class Listable:
    """What a task's list may contain."""

    id: InstrumentedAttribute[UUID]
    project_id: InstrumentedAttribute[UUID]
    unknown: FieldError
    """The error for any other id."""


LISTS = {
    "label_ids": Listable(
        Label.id, Label.project_id, {"detail": "is not a label of the task's project", "code": "unknown_label"}
    ),
    "assignee_ids": Listable(
        Member.user_id, Member.project_id, {"detail": "is not a member of the task's project", "code": "not_a_member"}
    ),
}
"""By column, which is also the name of the statement parameter with the ids."""

RARE = {*LISTS, "external_id", "parent_id"}
"""What most new tasks are created without: it is left out of the statement where it is not given."""


def listable(name: str, project_id: UuidColumn) -> ColumnElement[Any]:
    """Return which of the given ids a task of this project may list, locked against deletion."""
    locked = _locked(name, project_id).where(LISTS[name].id == any_(param(name, ARRAY(Uuid))))
    return func.array(locked.scalar_subquery(), type_=ARRAY(Uuid))


def is_listable(name: str, id_: UuidColumn, project_id: UuidColumn) -> ColumnElement[bool]:
    """Return a condition that a task of this project may list an id, which is locked as in `listable`."""
    return _locked(name, project_id).where(LISTS[name].id == id_).exists()


def _locked(name: str, project_id: UuidColumn) -> Rows:
    """Select what a task of this project may list: the project is locked first, then the labels or members, and then
    the task. Deletions of any of them lock in the same order, so that there is no deadlock.
    """
    kind, project = LISTS[name], aliased(Project)
    found = select(kind.id).join(project, project.id == kind.project_id).where(project.id == project_id)
    model = kind.id.class_
    return found.with_for_update(read=True, key_share=True, of=[project, model]).correlate(Task, Project)


def unknown_ids(given: Mapping[str, Any], found: Mapping[str, Any], place: str = "") -> list[FieldError]:
    """Return an error for each given id that was not found. `place` is the JSON pointer of what has the lists."""
    return [
        FieldError(pointer=f"{place}/{name}/{index}", **LISTS[name].unknown)
        for name in LISTS
        for index, id_ in enumerate(given.get(name) or ())
        if id_ not in found[name]
    ]


def unknown_parent(pointer: str = "/parent_id") -> InvalidRequestError:
    """Return the error for a parent that is not in the task's project."""
    return InvalidRequestError.at("is not a task of the task's project", "unknown_parent", pointer=pointer)


def are_listable(names: Iterable[str], project_id: UuidColumn) -> ColumnElement[bool]:
    """Return a condition that a task of this project may list all given ids."""
    counted = (
        func.cardinality(listable(name, project_id)) == func.cardinality(param(name, ARRAY(Uuid))) for name in names
    )
    return and_(true(), *counted)


@compiled
def listable_in_project(permission: Permission, names: tuple[str, ...]) -> Rows:
    """Select which of the given ids a task of the project may list."""
    return select(*(listable(name, Project.id).label(name) for name in names)).where(this_project(permission))


@compiled
def listable_in_task(permission: Permission, names: tuple[str, ...], *, moves: bool) -> Rows:
    """Select which of the given ids a task may list, in its project or in the one that it moves to."""
    project_id: UuidColumn = param("new_project_id", Uuid) if moves else Task.project_id
    found = select(*(listable(name, project_id).label(name) for name in names)).where(this_task(permission))
    return found.where(permission.on(project_id)) if moves else found


def is_in_project(parent_id: UuidColumn, project_id: UuidColumn) -> ColumnElement[bool]:
    """Return a condition that a task is in this project, so that others of the project may be below it."""
    parent = aliased(Task, name="parent")
    found = select(parent.id).where(parent.id == parent_id, parent.project_id == project_id)
    return found.correlate(Task, Project).exists()


def are_projects_held(*project_ids: UuidColumn) -> ColumnElement[bool]:
    """Return a condition that is true of any projects. It locks them against others who give tasks a parent, and who
    move or delete parents: in the order of their ids, and before the tasks, so that there is no deadlock.
    """
    project = aliased(Project)
    ids = select(project.id).where(project.id == any_(array(project_ids))).order_by(project.id)
    return _are_held(ids.with_for_update(key_share=True).correlate(Task, Project))


def is_tree_held(parent_id: UuidColumn | None = None, target: UuidColumn | None = None) -> ColumnElement[bool]:
    """Return a condition that is true of any task. It locks the task and all below it, after their project.

    `parent_id`: also the task below which it is to be. `target`: also the project to which it moves.
    """
    held, child, lower = (aliased(Task, name=name) for name in ("held", "child", "lower"))
    directly = select(child.id).where(child.parent_id == Task.id).correlate(Task)
    below = directly.cte("below", recursive=True, nesting=True)
    below = below.union(select(lower.id).join(below, below.c.id == lower.parent_id))
    named = [Task.id] if parent_id is None else [Task.id, parent_id]
    all_below = func.array(select(below.c.id).scalar_subquery(), type_=ARRAY(Uuid))
    ids = select(held.id).where(held.id == any_(array(named).concat(all_below))).order_by(held.id)
    projects = [Task.project_id] if target is None else [Task.project_id, target]
    return are_projects_held(*projects) & _are_held(ids.with_for_update().correlate(Task))


def _are_held(ids: Select[UUID]) -> ColumnElement[bool]:
    # All of them: EXISTS would stop at the first.
    return func.cardinality(func.array(ids.scalar_subquery(), type_=ARRAY(Uuid))) > literal_column("0")


@compiled
def possible_parent(permission: Permission, *, moves: bool) -> Rows:
    """Select whether a task may be below another one, in its project or in the one that it moves to."""
    project_id: UuidColumn = param("new_project_id", Uuid) if moves else Task.project_id
    is_there = is_in_project(param("new_parent_id", Uuid), project_id)
    found = select(is_there.label("is_there")).where(this_task(permission))
    return found.where(permission.on(project_id)) if moves else found


@compiled
def possible_parent_in_project(permission: Permission) -> Rows:
    """Select whether a new task of the project may be below another one."""
    is_there = is_in_project(param("new_parent_id", Uuid), Project.id)
    return select(is_there.label("is_there")).where(this_project(permission))


@compiled
def relatives() -> Executable:
    """Select the tasks of a project among these ids, and all that are above or below them, each with its parent."""
    task = aliased(Task, name="task")
    named = select(Task.id, Task.parent_id).where(named_in_project())
    above = named.cte("above", recursive=True)
    above = above.union(select(task.id, task.parent_id).join(above, above.c.parent_id == task.id))
    below = named.cte("below", recursive=True)
    below = below.union(select(task.id, task.parent_id).join(below, below.c.id == task.parent_id))
    return union(select(above), select(below))


@compiled(model=TaskRead)
def tasks_of_batch() -> Rows:
    """Select those tasks of a project that a batch names, as they are now."""
    return select(*READ_COLUMNS).where(named_in_project())


@compiled
def project_locked(permission: Permission, *, is_exclusive: bool) -> Rows:
    """Select whether a project requires `If-Match`, and lock the project against deletion until the batch is done;
    `is_exclusive`: also as in `are_projects_held`.
    """
    # As for one new task: FOR KEY SHARE waits for a deletion in progress, and then finds no project.
    locked = select(Project.require_if_match).where(this_project(permission))
    return locked.with_for_update(read=not is_exclusive, key_share=True)


@compiled
def tasks_locked(*, has_deletions: bool) -> Rows:
    """Select and lock those tasks of a project that a batch names: their tags and the bytes of their descriptions; and
    with them all that is below those which it deletes.
    """
    size = func.coalesce(func.octet_length(Task.description), inline(0)).label("size")
    condition = named_in_project()
    if has_deletions:
        below = select(Task.id).where(Task.parent_id == any_(param("deleted_ids", ARRAY(Uuid)))).cte(recursive=True)
        below = below.union(select(Task.id).join(below, below.c.id == Task.parent_id))
        condition |= Task.id.in_(select(below.c.id))
    found = select(Task.id, TASK.etag.label("etag"), size).where(condition)
    # Rows are locked in one order: otherwise two batches could deadlock.
    return found.order_by(Task.id).with_for_update(of=Task)


def named_in_project() -> ColumnElement[bool]:
    """Return the condition that a task is named by the batch and in its project: a batch never changes other tasks,
    even if the caller could.
    """
    return (Task.id == any_(param("ids", ARRAY(Uuid)))) & (Task.project_id == param("project_id", Uuid))


@compiled
def external_ids() -> Rows:
    """Select the tasks of a project that have one of these external ids."""
    is_named = Task.external_id == any_(param("external_ids", ARRAY(Text)))
    return select(Task.id, Task.external_id).where(Task.project_id == param("project_id", Uuid), is_named)


@compiled
def external_id_holder() -> Rows:
    """Select the task that has the external id which a task is to have, in the project where it is to be. What is not
    given stays as it is.
    """
    task = Task.__table__.alias("task")
    wanted = (
        func.coalesce(
            param(f"new_{name}", task.c[name].type),
            select(task.c[name]).where(task.c.id == param("task_id", Uuid)).scalar_subquery(),
        )
        for name in ("project_id", "external_id")
    )
    return select(Task.id).where(
        *(column == value for column, value in zip((Task.project_id, Task.external_id), wanted, strict=True))
    )


def of_row(expression: ColumnElement[Any]) -> ScalarSelect[Any]:
    """Return an expression of a task's columns as a SELECT of its own: otherwise Citus takes no STABLE function of a
    column in SET or WHERE (docs/scaling.md).
    """
    return select(expression).correlate(Task).scalar_subquery()


def wrong_lists() -> Rows:
    """Select the tasks whose lists of labels or assignees differ from the rows that refer to them. There should be
    none.
    """

    def differs(listed: ColumnElement[Any], referring: Select[UUID]) -> ColumnElement[bool]:
        return cast(listed, Text) != func.list_of(func.array(referring.scalar_subquery()), type_=Text)

    labels = select(TaskLabel.label_id).where(TaskLabel.task_id == Task.id)
    assignees = select(TaskAssignee.user_id).where(TaskAssignee.task_id == Task.id)
    return (
        select(Task.id.label("task_id"))
        .where(or_(differs(Task.__table__.c.label_ids, labels), differs(Task.__table__.c.assignee_ids, assignees)))
        .order_by(Task.id)
    )


def wrong_trees() -> Rows:
    """Select the subtasks that their parents do not count, or that are in another project. There should be none."""
    parent = aliased(Task, name="parent")
    return (
        select(Task.id.label("task_id"))
        .join(parent, parent.id == Task.parent_id)
        .where(or_(~parent.is_parent, parent.project_id != Task.project_id))
        .order_by(Task.id)
    )


def wrong_counts() -> Rows:
    """Select the projects whose maintained counts differ from their tasks, in one snapshot. There should be none."""
    kept_counts = (
        select(
            TaskCount.project_id,
            func.sum(TaskCount.total).label("total"),
            func.sum(TaskCount.completed).label("completed"),
        )
        .group_by(TaskCount.project_id)
        .subquery("kept")
    )
    true_counts = (
        select(
            Task.project_id,
            func.count().label("total"),
            func.count().filter(Task.completed).label("completed"),
        )
        .group_by(Task.project_id)
        .subquery("there")
    )
    pairs = [
        (name, cast(func.coalesce(kept_counts.c[name], 0), BigInteger), func.coalesce(true_counts.c[name], 0))
        for name in ("total", "completed")
    ]
    return (
        select(
            Project.id.label("project_id"),
            *(column.label(f"kept_{name}") for name, column, _ in pairs),
            *(column.label(f"true_{name}") for name, _, column in pairs),
        )
        .outerjoin(kept_counts, kept_counts.c.project_id == Project.id)
        .outerjoin(true_counts, true_counts.c.project_id == Project.id)
        .where(or_(*(kept_column != true_column for _, kept_column, true_column in pairs)))
    )
