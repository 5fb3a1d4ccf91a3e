"""`make feature name=notes`: lays the folder of a new feature from the template in devtools/feature/, and joins it.

What is laid works and passes every test as it stands: things in a project that their author changes, or an owner.
Change it to what the feature is, beginning with `models.py` and the migration.
"""

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from string import Template

from app.core.database.migrations import ROOT
from app.features import ROUTERS
from app.projects.scopes import EntityScope

TEMPLATE = Path(__file__).with_name("feature")


class FeatureError(Exception):
    """A feature cannot be laid."""


def lay(root: Path, many: str) -> list[Path]:
    """Write the files of a feature that is called by this plural noun; return them."""
    if re.fullmatch("[a-z]+s", many) is None:
        raise FeatureError("a feature's name is a plural noun in lower case, such as notes")
    if (root / "app" / many).exists():
        raise FeatureError(f"app/{many}/ exists")
    words = _words(root, many)
    day = words["day"].replace("-", "_")
    migration = root / "alembic" / "versions" / f"{day}_{words['revision']}_create_{many}.py"
    written = []
    for kind in ("app", "tests", "alembic"):
        for template in sorted((TEMPLATE / kind).iterdir()):
            path = migration if kind == "alembic" else root / kind / many / template.name.removesuffix(".template")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(Template(template.read_text()).substitute(words))
            written.append(path)
    return written


def join(root: Path, many: str) -> None:
    """Add the feature to the three files that list features: as the uppermost, with an owner of its own."""
    below = str(ROUTERS[-1].routes[-1].tags[0])
    _insert(
        root / "app/features.py",
        (f"from app.{below}.router import router as {below}\n", f"from app.{many}.router import router as {many}\n"),
        (f"    {below},\n", f"    {many},\n"),
        (f'    {{"name": "{below}"', f'    {{"name": "{many}", "description": "The {many} of a project."}},\n'),
    )
    _replace(root / "pyproject.toml", '"features", ', f'"features", "{many}", ')
    owners = [f"/{folder}/{many}/".ljust(24) + f"@taller/{many}\n" for folder in ("app", "tests")]
    _insert(root / ".github/CODEOWNERS", (f"/tests/{below}/", "".join(owners)))


def _words(root: Path, many: str) -> dict[str, str]:
    one = many.removesuffix("ies") + "y" if many.endswith("ies") else many.removesuffix("s")
    last = max(path.name.split("_")[3] for path in (root / "alembic/versions").glob("*.py"))
    article = "an" if one[0] in "aeiou" else "a"
    return {
        "many": many,
        "Many": many.title(),
        "MANY": many.upper(),
        "one": one,
        "One": one.title(),
        "ONE": one.upper(),
        "a": article,
        "A": article.title(),
        "letter": next(one[:length] for length in range(1, len(one) + 1) if one[:length] not in _letters()),
        "before": last,
        "revision": f"{int(last) + 1:04}",
        "day": datetime.now(UTC).date().isoformat(),
    }


def _letters(scope: type[EntityScope] = EntityScope) -> set[str]:
    """Return the letters that the tags of other entities begin with."""
    own = re.findall(r"'\"([a-z]+)'", str(scope.entity.etag)) if "entity" in vars(scope) else []
    return {*own}.union(*(_letters(kind) for kind in scope.__subclasses__()))


def _insert(path: Path, *additions: tuple[str, str]) -> None:
    """Add each text behind the one line that begins so."""
    lines = path.read_text().splitlines(keepends=True)
    for beginning, text in additions:
        (place,) = (number for number, line in enumerate(lines) if line.startswith(beginning))
        lines.insert(place + 1, text)
    path.write_text("".join(lines))


def _replace(path: Path, old: str, new: str) -> None:
    source = path.read_text()
    if source.count(old) != 1:
        raise FeatureError(f"{path.name} does not say {old} once: add the feature by hand")
    path.write_text(source.replace(old, new))


def main() -> None:
    """Lay the feature that the command line names."""
    try:
        written = lay(ROOT, sys.argv[1])
        join(ROOT, sys.argv[1])
    except (FeatureError, IndexError) as error:
        sys.exit(str(error) if isinstance(error, FeatureError) else "name it: make feature name=notes")
    # The order of imports and the length of lines depend on the name.
    names = [*map(str, written), str(ROOT / "app/features.py")]
    for command in (["check", "--quiet", "--fix-only"], ["format", "--quiet"]):
        subprocess.run([Path(sys.executable).with_name("ruff"), *command, *names], cwd=ROOT, check=True)  # noqa: S603 - our own program
    for path in written:
        print(path.relative_to(ROOT))  # noqa: T201 - for whoever called it
    print("joined in app/features.py, pyproject.toml and .github/CODEOWNERS; now: make docs check test-quick")  # noqa: T201


if __name__ == "__main__":
    main()
