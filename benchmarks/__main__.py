"""`python -m benchmarks`: see README.md."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import hostile, report, soak
from benchmarks.contender import ALL, BY_NAME, VARIANTS, earlier, without_limits
from benchmarks.data import FULL, LARGE, QUICK
from benchmarks.operations import operations
from benchmarks.run import Plan, run
from benchmarks.server import BenchmarkError
from devtools.postgres import EmbeddedPostgresError

HERE = Path(__file__).resolve().parent
README = HERE / "README.md"
COMPLETE_ROUNDS, COMPLETE_SOAK = 5, 1_000_000
"""What a run has to have at least for its figures to stand in the README."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print tables and store them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What Taller costs, against whom.")
    parser.add_argument("--quick", action="store_true", help="little data, one short round: does it work?")
    parser.add_argument(
        "--large", action="store_true", help="10 000 000 tasks in a project, 100 000 people: takes minutes to build"
    )
    parser.add_argument("--operations", type=_names, help="only these, by comma: read,list,… or size, depth, cursor")
    parser.add_argument("--contenders", type=_names, help="only these, by comma: " + ",".join(BY_NAME))
    parser.add_argument("--against", metavar="COMMIT", help="also measure Taller as it was there, side by side")
    parser.add_argument(
        "--soak",
        type=int,
        metavar="REQUESTS",
        help="instead: so many requests to Taller alone, and its memory meanwhile",
    )
    parser.add_argument(
        "--hostile", action="store_true", help="instead: requests that want to cost much, of every operation of the API"
    )
    parser.add_argument("--rounds", type=int, help="how often everything is measured (5; quick: 1)")
    parser.add_argument("--seconds", type=float, help="per measurement (2; quick: 0.3); half of it for the curves")
    parser.add_argument("--directory", type=Path, default=HERE / ".data", help="for the embedded PostgreSQL and logs")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="where results are stored")
    chosen = parser.parse_args(arguments)
    # So that what is under way is ended in order: contenders stopped, the database dropped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    scale = QUICK if chosen.quick else LARGE if chosen.large else FULL
    known = operations(scale)
    wanted = chosen.operations or [operation.name for operation in known]
    contenders = chosen.contenders or list(BY_NAME)
    try:
        if chosen.soak is not None:
            found = soak.soak(chosen.soak, scale, chosen.directory)
            soak.publish(found, chosen.output, README if chosen.soak >= COMPLETE_SOAK and not chosen.quick else None)
            return
        if chosen.hostile:
            costs = hostile.hostile(QUICK, chosen.directory, chosen.operations or (), times=1 if chosen.quick else 3)
            hostile.publish(costs, chosen.output)
            return
        _refuse_unknown("operation", wanted, [name for one in known for name in (one.name, one.sweep) if name])
        _refuse_unknown("contender", contenders, list(BY_NAME))
        chosen_operations = [one for one in known if one.name in wanted or one.sweep in wanted]
        taking_part = [contender for contender in ALL if contender.name in contenders]
        if chosen.against:
            taking_part = [*map(without_limits, taking_part), without_limits(earlier(chosen.against))]
        elif "taller" in contenders:
            taking_part += [variant for variant in VARIANTS if variant.name in {one.only for one in chosen_operations}]
        plan = Plan(
            contenders=taking_part,
            operations=chosen_operations,
            scale=scale,
            rounds=chosen.rounds or (1 if chosen.quick else 5),
            seconds=chosen.seconds or (0.3 if chosen.quick else 2.0),
            directory=chosen.directory,
        )
        results = run(plan)
    except (BenchmarkError, EmbeddedPostgresError) as error:
        sys.exit(f"benchmarks: {error}")
    is_partial = chosen.quick or chosen.operations or chosen.contenders or chosen.against or chosen.large
    is_complete = not is_partial and plan.rounds >= COMPLETE_ROUNDS
    report.publish(results, chosen.output, README if is_complete else None)
    if any(one.errors for by_name in results.measurements.values() for list_ in by_name.values() for one in list_):
        sys.exit("benchmarks: some requests failed; those figures are void")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _refuse_unknown(kind: str, names: Sequence[str], known: Sequence[str]) -> None:
    if unknown := [name for name in names if name not in known]:
        raise BenchmarkError(f"no such {kind}: {', '.join(unknown)} (there are {', '.join(dict.fromkeys(known))})")


if __name__ == "__main__":
    main()
