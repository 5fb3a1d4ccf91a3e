"""Cost against the size of a project and against depth, as SVG: two panels, both axes logarithmic."""

import math
import statistics
from xml.sax.saxutils import escape

from benchmarks.contender import BY_NAME
from benchmarks.operations import spaced
from benchmarks.run import Results

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM, GAP = 420, 300, 60, 40, 50, 50, 70
COLOURS = {
    "ceiling": "#555555",
    "taller": "#d1495b",
    "textbook": "#2e86ab",
    "drf": "#2f7d4f",
    "litestar": "#8e5ea2",
    "fastify": "#c98a1b",
}
Curve = list[tuple[int, float]]


def svg(results: Results) -> str | None:
    """Return the picture, or None where no curve was measured."""
    panels = {
        "Cost of the first page against the project's size": _curves(results, "size", ""),
        "Cost of a page against its depth": _curves(results, "depth", "") | _curves(results, "cursor", " by cursor"),
    }
    costs = [cost for curves in panels.values() for curve in curves.values() for _, cost in curve if cost > 0]
    if not costs:
        return None
    low, high = math.floor(math.log10(min(costs))), math.ceil(math.log10(max(costs)))
    names = [name for name in BY_NAME if any(key.startswith(name) for curves in panels.values() for key in curves)]
    width, height = 2 * (LEFT + WIDTH) + GAP + RIGHT, TOP + HEIGHT + BOTTOM + 30
    look = 'font-family="sans-serif" font-size="12" fill="#333"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {look}>',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for number, (title, curves) in enumerate(panels.items()):
        parts += _panel(title, curves, LEFT + number * (WIDTH + LEFT + GAP), low, max(high, low + 1))
    x = float(LEFT)
    for name in names:
        label = BY_NAME[name].title
        parts.append(f'<rect x="{x:.0f}" y="{height - 20}" width="12" height="12" fill="{COLOURS[name]}"/>')
        parts.append(f'<text x="{x + 17:.0f}" y="{height - 10}">{escape(label)}</text>')
        x += 40 + 6.4 * len(label)
    return "\n".join([*parts, "</svg>", ""])


def _curves(results: Results, sweep: str, suffix: str) -> dict[str, Curve]:
    curves: dict[str, Curve] = {}
    for operation in results.plan.operations:
        if operation.sweep != sweep:
            continue
        for name, rounds in results.measurements.get(operation.name, {}).items():
            if not any(one.errors for one in rounds):
                cost = statistics.median(one.cost for one in rounds)
                curves.setdefault(name + suffix, []).append((operation.x, cost))
    return curves


def _panel(title: str, curves: dict[str, Curve], left: float, low: int, high: int) -> list[str]:
    xs = sorted({x for curve in curves.values() for x, _ in curve})
    if not xs:
        return []
    # Depth 0 has no logarithm: it stands one step before the next one.
    first = next((x for x in xs if x > 0), 1)
    start, end = math.log10(first / 10 if xs[0] == 0 else xs[0]), math.log10(max(xs[-1], first))

    def across(x: int) -> float:
        value = start if x == 0 else math.log10(x)
        return left + WIDTH * (value - start) / max(end - start, 1e-9)

    def up(cost: float) -> float:
        return TOP + HEIGHT * (high - math.log10(max(cost, 1e-9))) / (high - low)

    parts = [f'<text x="{left}" y="{TOP - 20}" font-size="14">{escape(title)}</text>']
    for exponent in range(low, high + 1):
        y = up(10.0**exponent)
        label = f"{10.0 ** (exponent - 3):g} ms"
        parts.append(f'<line x1="{left}" x2="{left + WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    foot = TOP + HEIGHT + 20
    parts += [f'<text x="{across(x):.1f}" y="{foot}" text-anchor="middle">{spaced(x)}</text>' for x in xs]
    for key, curve in curves.items():
        name, _, by_cursor = key.partition(" ")
        dashes = ' stroke-dasharray="6 4"' if by_cursor else ""
        points = " ".join(f"{across(x):.1f},{up(cost):.1f}" for x, cost in curve)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"{dashes}/>')
        label = escape(BY_NAME[name].title) + (" by cursor" if by_cursor else "")
        for x, cost in curve:
            told = f"<title>{label}, {spaced(x)}: {cost:.0f} µs</title>"
            spot = f'cx="{across(x):.1f}" cy="{up(cost):.1f}" r="3" fill="{COLOURS[name]}"'
            parts.append(f"<circle {spot}>{told}</circle>")
    return parts
