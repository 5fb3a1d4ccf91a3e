"""The files that people and programs expect beside the code say what the code says."""

import re
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are not in the lock

from app import __version__
from tests.architecture.source import ROOT
from tests.support import server

PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
WORKFLOW: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
BY_PROGRAMS = ("linguist-vendored", "linguist-generated")
MANIFESTS = {
    "pip": "pyproject.toml",
    "npm": "package-lock.json",
    "gomod": "go.mod",
    "maven": "pom.xml",
    "docker": "Dockerfile",
    "docker-compose": "compose.yml",
    "github-actions": ".github/workflows/*.yml",
}


def git(*arguments: str, sent: str = "") -> list[str]:
    command = ["git", "-C", str(ROOT), *arguments]
    done = subprocess.run(command, input=sent, capture_output=True, text=True, check=True)  # noqa: S603 - wherever it is
    return done.stdout.strip("\0").split("\0")


def written_by_programs() -> set[str]:
    files = "\0".join(git("ls-files", "-z"))
    attributes = git("check-attr", "-z", "--stdin", *BY_PROGRAMS, sent=files)
    return {path for path, _, value in zip(*[iter(attributes)] * 3, strict=True) if value == "set"}


def untidy(content: bytes) -> str | None:
    """What .editorconfig would change in a file."""
    if b"\r" in content:
        return "a carriage return"
    if content and not content.endswith(b"\n"):
        return "no line break at the end"
    if re.search(rb"[ \t]$", content, re.MULTILINE):
        return "a blank at the end of a line"
    try:
        content.decode()
    except UnicodeDecodeError:
        return "no UTF-8"
    return None


@pytest.mark.slow
def test_what_programs_wrote_is_marked_as_such() -> None:
    marked = written_by_programs()
    assert {
        "docs/api/openapi.json",
        "docs/README.md",
        "requirements/dev.txt",
        "requirements/openapi/go/go.sum",
    } <= marked
    assert "app/system/static/swagger-ui/swagger-ui-bundle.js" in marked
    by_hand = {
        "requirements/lock.py",
        "app/system/static/docs.js",
        "docs/architecture.md",
        "requirements/openapi/package.json",
    }
    assert not by_hand & marked


@pytest.mark.slow
def test_what_people_wrote_is_tidy() -> None:
    files = set(git("ls-files", "-z")) - written_by_programs()
    assert len(files) > 300
    faults = {path: untidy((ROOT / path).read_bytes()) for path in sorted(files) if (ROOT / path).is_file()}
    assert {path: fault for path, fault in faults.items() if fault} == {}


@pytest.mark.parametrize("content", [b"a\r\n", b"a", b"a \nb\n", b"\tb\t\n", b"\xff\n"])
def test_what_is_untidy_is_found(content: bytes) -> None:
    assert untidy(content)
    assert untidy(b"a\n\n\tb\n") is None


def test_workflow_runs_ci_on_every_supported_version() -> None:
    job = WORKFLOW["jobs"]["ci"]
    matrix = job["strategy"]["matrix"]
    assert job["steps"][-1] == {"run": ".ci/run"}
    supported = [line.rpartition(" ")[2] for line in PYPROJECT["project"]["classifiers"] if ":: Python :: 3." in line]
    assert matrix["python"] == supported
    assert PYPROJECT["project"]["requires-python"] == f">={supported[0]}"
    assert (ROOT / ".python-version").read_text().strip() == supported[0], "so that nothing newer slips in"
    oldest = re.search(r"PostgreSQL (\d+) or newer", (ROOT / "docs/operations.md").read_text())
    newest = re.search(r"image: postgres:(\d+)", (ROOT / "compose.yml").read_text())
    assert oldest is not None
    assert newest is not None
    assert matrix["postgresql"] == [oldest[1], newest[1]]
    # What a version in the matrix selects: the server that is started, and the one that the tests demand.
    assert job["env"].keys() == {server.SERVER_VARIABLE, server.VERSION_VARIABLE}
    assert job["env"][server.VERSION_VARIABLE] == "${{ matrix.postgresql }}"
    assert "postgres:${{ matrix.postgresql }}" in "".join(step.get("run", "") for step in job["steps"])


def test_a_server_of_another_version_is_refused(server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(server.VERSION_VARIABLE, "9")
    with pytest.raises(
        pytest.UsageError, match=r"TALLER_TEST_POSTGRESQL is 9, but the server of the tests is PostgreSQL 1"
    ):
        server.refuse_another_version(server_url)


def test_hooks_are_local_and_run_the_tools_of_make_check() -> None:
    configuration = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repository["repo"] for repository in configuration["repos"]] == ["local"]
    hooks = configuration["repos"][0]["hooks"]
    assert {hook["language"] for hook in hooks} == {"system"}
    makefile = (ROOT / "Makefile").read_text()
    for hook in hooks:
        program, command = hook["entry"].split()[:2]
        if program == "make":
            assert f"\n{command}: $(STAMP)" in makefile
        else:
            assert f"@{program.replace('.venv/bin', '$(BIN)')} {command}" in makefile


def test_dependabot_looks_where_manifests_are() -> None:
    updates = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())["updates"]
    assert {update["package-ecosystem"] for update in updates} == set(MANIFESTS)
    for update in updates:
        for directory in update.get("directories", [update.get("directory")]):
            assert list((ROOT / directory.strip("/")).glob(MANIFESTS[update["package-ecosystem"]])), directory


def test_issue_forms_ask_for_something() -> None:
    forms = [path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml"]
    assert len(forms) == 2
    for form in forms:
        fields = yaml.safe_load(form.read_text())["body"]
        assert any(field["validations"]["required"] for field in fields if "validations" in field), form.name


def test_changelog_has_unreleased_first_and_releases_in_order() -> None:
    first, *released = re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)
    assert first == "[Unreleased]"
    versions = [re.fullmatch(r"\[(\d+)\.(\d+)\.(\d+)\] - \d{4}-\d\d-\d\d", heading) for heading in released]
    assert None not in versions, "a release is `## [1.2.3] - 2026-11-26`"
    numbers = [tuple(map(int, found.groups())) for found in versions if found]
    assert all(newer > older for newer, older in pairwise(numbers))
    ours = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", __version__)
    assert ours is not None
    assert all(number <= tuple(map(int, ours.groups())) for number in numbers)


@pytest.mark.slow
def test_no_wheel_is_built_that_could_not_migrate(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own tools
    assert done.returncode != 0
    assert "Taller is no package" in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []
