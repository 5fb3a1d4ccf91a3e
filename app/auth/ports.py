"""What this feature needs of those above it. It cannot import them: `app.features` hands it their answers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from app.core.database.database import Transaction

ClosingStep = Callable[[Transaction, UUID], Awaitable[None]]
"""What a feature does, or refuses, in the transaction that is about to delete a person's account."""

ProjectVisible = Callable[[Transaction, UUID, UUID], Awaitable[bool]]
"""Whether the person (first) may see the project (second)."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The answers of the features above."""

    closing_steps: tuple[ClosingStep, ...]
    project_visible: ProjectVisible
