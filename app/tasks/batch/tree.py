"""The parents of tasks as they will be, while a batch is validated."""

from collections import defaultdict
from collections.abc import Mapping
from uuid import UUID

from app.core.errors import AppError
from app.tasks import queries
from app.tasks.errors import TaskCycleError, TooManyLevelsError
from app.tasks.models import MAX_LEVELS


class Tree:
    """Tasks of a project, with all that are above or below them."""

    def __init__(self, parents: Mapping[UUID, UUID | None]) -> None:
        """`parents`: each task with its parent."""
        self._parents = dict(parents)
        self._children: defaultdict[UUID, set[UUID]] = defaultdict(set)
        for task, parent in parents.items():
            if parent is not None:
                self._children[parent].add(task)

    def place(self, task: UUID, parent: UUID | None, pointer: str) -> AppError | None:
        """Put a task below another one, or below none; or return why not, and leave it where it is."""
        if parent is not None:
            if parent not in self._parents:
                return queries.unknown_parent(pointer)
            above = self._above(parent)
            if task in above:
                return TaskCycleError(pointer)
            if len(above) + self._levels(task) > MAX_LEVELS:
                return TooManyLevelsError(pointer, MAX_LEVELS)
            self._children[parent].add(task)
        if (before := self._parents.get(task)) is not None and before != parent:
            self._children[before].discard(task)
        self._parents[task] = parent
        return None

    def _above(self, task: UUID) -> list[UUID]:
        """Return a task and all above it."""
        found = [task]
        while (parent := self._parents.get(found[-1])) is not None:
            found.append(parent)
        return found

    def _levels(self, task: UUID) -> int:
        return 1 + max((self._levels(child) for child in self._children[task]), default=0)
