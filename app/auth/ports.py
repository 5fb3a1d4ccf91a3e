"""The functions that this feature needs from features above it. It cannot import them: `app.features` passes
them in.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from app.core.database.database import Transaction

ClosingStep = Callable[[Transaction, UUID], Awaitable[None]]
"""A step of a feature in the transaction that is about to delete a user's account. It may raise an error."""

ProjectVisible = Callable[[Transaction, UUID, UUID], Awaitable[bool]]
"""Returns whether a user (the first id) may see a project (the second id)."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The functions of the features above."""

    closing_steps: tuple[ClosingStep, ...]
    project_visible: ProjectVisible
