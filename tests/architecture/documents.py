"""What documents may say: names that exist, settings as they are. Each rule returns its offences, one line each."""

import ast
import inspect
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from textwrap import dedent
from typing import Any

import click
from pydantic import SecretStr

from app.cli.main import taller
from app.core.config import Settings
from tests.architecture.source import features

_CODE = re.compile(r"`([^`\n]+)`")
_FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)\s]*)?\)")
_VARIABLE = re.compile(r"\bTALLER_[A-Z0-9_]+\b")
_PATH = re.compile(r"[\w.*-]+(/[\w.*-]*)+|\.?[\w*-][\w.*-]*\.(py|md|toml|ya?ml|txt|json|mako|html|js|css|ini|sql|sh)")
_MEDIA_TYPE = re.compile(r"(application|text|image|multipart)/.*")
_DOTTED = re.compile(r"(app|tests)(\.\w+)+")


def settings_out_of_step(root: Path, settings: type[Settings] = Settings) -> list[str]:
    """`.env.example` lists exactly the settings, each commented out with its default, under its one sentence."""
    text = (root / ".env.example").read_text()
    written = {
        name: (sentence, value)
        for sentence, name, value in re.findall(r"^# (.+)\n#?(TALLER_\w+)=(.*)$", text, re.MULTILINE)
    }
    assigned = re.findall(r"^#?(TALLER_\w+)=", text, re.MULTILINE)
    sentences = dict(_sentences(settings))
    offences = [f".env.example: {name} is no setting" for name in assigned if name not in sentences]
    offences += [f".env.example: {name} is listed twice" for name in set(assigned) if assigned.count(name) > 1]
    for field, information in settings.model_fields.items():
        name, default = f"TALLER_{field.upper()}", information.default
        shown = _written(default)
        if name not in written:
            offences.append(f".env.example: {name} is missing, or has no sentence above it")
        elif written[name] != (sentences.get(name), shown):
            offences.append(f".env.example: {name} is not {sentences.get(name)!r} with the default {shown!r}")
    return offences


def _written(default: Any) -> str:
    match default:
        case None | ():
            return ""
        case bool():
            return str(default).lower()
        case SecretStr():
            return default.get_secret_value()
    return str(default)


def _sentences(settings: type[Settings]) -> Iterator[tuple[str, str]]:
    """What is written below each setting where it is declared."""
    for cls in reversed(settings.__mro__):
        if issubclass(cls, Settings):
            definition = ast.parse(dedent(inspect.getsource(cls))).body[0]
            assert isinstance(definition, ast.ClassDef)
            for line, following in zip(definition.body, [*definition.body[1:], ast.Pass()], strict=True):
                if isinstance(line, ast.AnnAssign) and isinstance(following, ast.Expr):
                    yield (
                        f"TALLER_{ast.unparse(line.target).upper()}",
                        " ".join(ast.literal_eval(following.value).split()),
                    )


def dead_mentions(root: Path) -> list[str]:
    """Files, modules, make targets, commands and settings that documents name do exist."""
    offences = []
    for document in documents(root):
        text = document.read_text()
        where = document.relative_to(root)
        fenced = "\n".join(_FENCED.findall(text))
        mentions = _CODE.findall(_FENCED.sub("", text))
        typed = (line.strip().removeprefix("$ ") for line in fenced.splitlines())
        mentions += [line for line in typed if line.startswith(("make ", "taller "))]
        offences += [f"{where}: {name} does not exist" for name in mentions if not _exists(root, document, name)]
        offences += [
            f"{where}: the link to {target} leads nowhere"
            for target in _LINK.findall(text)
            if not target.startswith(("http://", "https://", "mailto:")) and not (document.parent / target).exists()
        ]
        offences += [f"{where}: {name} is no setting" for name in _VARIABLE.findall(text) if not _read(root, name)]
    return offences


def dead_references(root: Path) -> list[str]:
    """Documents that code, configuration and documents refer to by their path from the root do exist."""
    files = [path for folder in ("app", "tests", "alembic", "docs") for path in (root / folder).rglob("*.*")]
    files += [path for path in root.glob("*.*") if path.suffix in {".toml", ".yml", ".md"}]
    return [
        f"{path.relative_to(root)}: {reference} does not exist"
        for path in [*files, root / "Makefile"]
        if path.suffix in {".py", ".md", ".mako", ".toml", ".yml", ""} and path.is_file()
        for reference in re.findall(r"(?<![\w./])docs/[\w/.-]+\.md", path.read_text())
        if not (root / reference).exists()
    ]


def documents(root: Path) -> list[Path]:
    """Every document whose words are held to the code. A decision, or the changelog, tells what was true on its day."""
    places = ("*.md", ".github/*.md", "docs/**/*.md")
    named = [path for place in places for path in sorted(root.glob(place)) if path.name != "CHANGELOG.md"]
    return [path for path in named if path.exists() and "decisions" not in path.relative_to(root).parts]


def _exists(root: Path, document: Path, mention: str) -> bool:
    if made := re.match(r"make ([a-z-]+)", mention):
        return _says(root / "Makefile", rf"^{made[1]}:")
    if mention.startswith("taller "):
        return _is_command(mention.split()[1:])
    if _DOTTED.fullmatch(mention):
        return _is_module_or_member(root, mention)
    if _PATH.fullmatch(mention) and not _MEDIA_TYPE.fullmatch(mention):
        return _is_file(root, document, mention)
    return True


def _is_command(words: list[str]) -> bool:
    command: click.Command = taller
    while isinstance(command, click.Group) and words and re.fullmatch("[a-z][a-z-]*", words[0]):
        found = command.commands.get(words.pop(0))
        if found is None:
            return False
        command = found
    return all(
        word in {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
        for word in words
        if word.startswith("--") and word not in {"--help", "--version"}
    )


def _says(path: Path, pattern: str) -> bool:
    return re.search(pattern, path.read_text(), re.MULTILINE) is not None


def _is_module_or_member(root: Path, dotted: str) -> bool:
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        folder = root.joinpath(*parts[:length])
        for path in (folder.with_suffix(".py"), folder / "__init__.py"):
            if path.exists():
                source = path.read_text()
                return all(re.search(rf"\b{re.escape(member)}\b", source) for member in parts[length:])
    return False


def _is_file(root: Path, document: Path, path: str) -> bool:
    if any(fnmatch(path.rstrip("/"), line.rstrip("/")) for line in _ignored(root)):
        # Made on each machine, such as .venv/.
        return True
    if path.startswith((".venv/", ".taller/")):
        return True
    for folder in (root, document.parent):
        if any(folder.glob(path.rstrip("/"))):
            return True
    # A file such as router.py stands in every feature.
    return "/" not in path and any(
        any((root / folder).rglob(path)) for folder in ("app", "tests", "alembic", "docs", "docker", "benchmarks")
    )


def _ignored(root: Path) -> list[str]:
    return (root / ".gitignore").read_text().split()


def _read(root: Path, variable: str) -> bool:
    """Whether something reads this variable: the settings, or the tests."""
    if variable.removeprefix("TALLER_").lower() in Settings.model_fields:
        return True
    readers = [*(root / "tests").rglob("*.py"), root / ".ci/run", root / "Makefile", *root.glob("compose*.yml")]
    return variable.startswith("TALLER_TEST_") and any(
        variable in path.read_text() for path in readers if path.exists()
    )


def features_without_owners(root: Path) -> list[str]:
    """CODEOWNERS has a line for the code and one for the tests of every feature and the core, and no dead lines."""
    path = ".github/CODEOWNERS"
    lines = [line.split() for line in (root / path).read_text().splitlines() if line and not line.startswith("#")]
    owned = {line[0] for line in lines if len(line) > 1 and all(owner.startswith("@") for owner in line[1:])}
    wanted = [f"/{folder}/{name}/" for name in [*features(root), "core"] for folder in ("app", "tests")]
    offences = [f"{path}: nobody owns {pattern}" for pattern in wanted if pattern not in owned]
    offences += [
        f"{path}: {pattern} does not exist"
        for pattern, *_ in lines
        if pattern != "*" and not any(root.glob(pattern.strip("/")))
    ]
    return offences
