"""What Taller set out to reach, and how near it is."""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from benchmarks.contender import BY_NAME, EARLIER
from benchmarks.load import Measurement
from benchmarks.operations import BATCH
from benchmarks.run import Results
from devtools.pgbouncer import knows_prepared_statements

CEILING, FASTIFY = "ceiling", "fastify"
Figure = Callable[[Measurement], float]
speed: Figure = attrgetter("per_second")
p50: Figure = attrgetter("p50")
p99: Figure = attrgetter("p99")
cost: Figure = attrgetter("cost")


@dataclass(frozen=True, slots=True)
class Target:
    """Something that Taller set out to reach."""

    text: str
    value: float | None
    """What was measured; None where it was not, or where a figure that it needs is void."""

    limit: float
    at_most: bool = True

    @property
    def is_reached(self) -> bool | None:
        """Whether it is; None where nobody knows."""
        if self.value is None:
            return None
        return self.value <= self.limit if self.at_most else self.value >= self.limit

    @property
    def row(self) -> str:
        """In the table."""
        sign = "≤" if self.at_most else "≥"
        measured = "–" if self.value is None else f"{self.value:.2f}"
        reached = {True: "yes", False: "**no**", None: "not measured"}[self.is_reached]
        return f"| {self.text} | {measured} | {sign} {self.limit:g} | {reached} |"

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "figure": self.text,
            "measured": None if self.value is None else round(self.value, 4),
            "at_most" if self.at_most else "at_least": self.limit,
            "reached": self.is_reached,
        }


RIVALS = ("textbook", "drf", "litestar")
AGAINST: tuple[tuple[str, float, float | None], ...] = (
    ("read", 1.4, 1.0),
    ("list", 1.0, 0.8),
    ("create", 1.4, 1.0),
    ("update", 1.3, 1.0),
    ("complete", 1.4, 1.0),
    ("delete", 1.5, 1.0),
    ("login", 1.2, None),
)
"""Operation, and what it may cost at most: against the ceiling's, and against Fastify's."""

WITHIN = (
    ("create-keyed", 1.3),
    ("list-cursor", 1.25),
    ("list-sorted", 1.25),
    ("list-filtered", 1.25),
    ("list-searched", 2.0),
    ("list-searched-common", 2.0),
    ("read-unchanged", 1.0),
    ("read-missing", 1.0),
    ("read-anonymous", 1.0),
    ("read-limited", 1.0),
    ("openapi", 1.0),
    ("docs", 1.0),
    ("read-bouncer", 1.6 if knows_prepared_statements() else 3.0),
)
"""A feature, and what it may cost at most against the same without it."""

TAILS = (("half", 3.0), ("half-beside", 6.0))
"""Operation, and how many times its p50 its p99 may be."""

SLOWER = 1.05
"""What an operation may cost against the same in an earlier version."""

MEMORY, PEAK = 95, 115
"""MiB that a worker may hold, and may ever have held."""


def targets_of(results: Results) -> list[Target]:
    """Return what Taller set out to reach; against the rivals, the worst of all operations, and each where it loses."""
    rivalry = list(_rivalry(results))
    worst = [(max if group[0].at_most else min)(group, key=lambda one: one.value or 0.0) for group in rivalry if group]
    lost = [target for group in rivalry for target in group if not target.is_reached and target not in worst]
    return [*_wanted(results), *worst, *lost]


def _wanted(results: Results) -> Iterator[Target]:
    earlier = next((contender.title for contender in results.plan.contenders if contender.revision), None)
    for operation, ceiling, fastify in AGAINST:
        if earlier is not None:
            slower = ratio(results, operation, "taller", EARLIER, cost)
            yield Target(f"`{operation}`: cost × that of {earlier}", slower, SLOWER)
        yield Target(
            f"`{operation}`: cost × the ceiling's", ratio(results, operation, "taller", CEILING, cost), ceiling
        )
        if fastify is not None:
            than = ratio(results, operation, "taller", FASTIFY, cost)
            yield Target(f"`{operation}`: cost × Fastify's", than, fastify)
    known = {operation.name: operation for operation in results.plan.operations}
    for name, limit in WITHIN:
        than = own_ratio(results, name, known[name].plain, cost) if name in known else None
        yield Target(f"`{name}`: cost × that of the same without", than, limit)
    for name, limit in TAILS:
        measured = [one for one in results.measurements.get(name, {}).get("taller", []) if not one.errors]
        tail = statistics.median(one.p99 / one.p50 for one in measured) if measured else None
        yield Target(f"`{name}`: p99 × its p50", tail, limit)
    yield from _curves(results)
    writers = own_ratio(results, "one-project", "16-projects", speed)
    yield Target("requests/s of `one-project` × those of `16-projects`", writers, 0.6, at_most=False)
    batch = own_ratio(results, "create-alone", "batch-create", p50)
    faster = None if batch is None else batch * BATCH
    yield Target(f"p50 of {BATCH} × `create-alone` × that of `batch-create`", faster, 20, at_most=False)
    for text, sizes, limit in (
        ("memory at the end", results.resident, MEMORY),
        ("peak memory, passwords included", results.memory, PEAK),
    ):
        size = sizes.get("taller")
        yield Target(f"{text}, MiB", None if size is None else size / 2**20, limit)


def _curves(results: Results) -> Iterator[Target]:
    """Whether the largest project, and the deepest page of it by cursor, cost as much as the smallest one."""
    sizes, cursors = (
        [one.name for one in results.plan.operations if one.sweep == sweep] for sweep in ("size", "cursor")
    )
    for name, text in ((sizes[-1:], "the largest project"), (cursors[-1:], "the deepest page by cursor")):
        than = own_ratio(results, name[0], sizes[0], cost) if name and sizes else None
        yield Target(f"{text}: cost × that of the first page of the smallest", than, 1.1)


def _rivalry(results: Results) -> Iterator[list[Target]]:
    """For each rival and figure, the targets of all operations on which both have one."""
    shared = [one.name for one in results.plan.operations if not (one.sweep or one.only or one.by_cursor)]
    for rival in RIVALS:
        for figure, of, at_most in ((speed, "requests/s", False), (p99, "p99", True)):
            ratios = {name: ratio(results, name, "taller", rival, figure) for name in shared}
            yield [
                Target(f"`{name}`: {of} × that of {BY_NAME[rival].title}", value, 1, at_most)
                for name, value in ratios.items()
                if value is not None
            ]


def own_ratio(results: Results, one: str, other: str, figure: Figure) -> float | None:
    """Taller in one operation, as it is run for that, against Taller in another, in the same round."""
    only = {operation.name: operation.only for operation in results.plan.operations}
    mine = results.measurements.get(one, {}).get(only.get(one) or "taller", [])
    theirs = results.measurements.get(other, {}).get("taller", [])
    pairs = [(figure(a), figure(b)) for a, b in zip(mine, theirs, strict=False) if not a.errors and not b.errors]
    return statistics.median(a / b for a, b in pairs if b) if pairs else None


def ratio(results: Results, operation: str, name: str, other: str, figure: Figure) -> float | None:
    """Return the median over the rounds of one contender's figure divided by another's of the same round."""
    measured = results.measurements.get(operation, {})
    mine, theirs = measured.get(name, []), measured.get(other, [])
    pairs = [
        (figure(one), figure(two))
        for one, two in zip(mine, theirs, strict=False)
        if not one.errors and not two.errors and figure(two)
    ]
    return statistics.median(one / two for one, two in pairs) if pairs else None
