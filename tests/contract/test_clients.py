"""Clients that generators make of the OpenAPI document do what the README's tour shows, as docs/api/clients.md says."""

import json
import os
import re
import shlex
import shutil
from functools import partial
from pathlib import Path

import pytest

from app.core.database.migrations import ROOT
from tests.contract.languages import needed
from tests.support import tools
from tests.support.process import Service

pytestmark = pytest.mark.slow

TOURS = Path(__file__).with_name("clients")
PAGE = (ROOT / "docs" / "api" / "clients.md").read_text()
ROWS = dict(re.findall(r"^\| (.+?) \| (?:[\d.]+) \| `(.+)` \|$", PAGE, re.MULTILINE))
"""The command of each generator, as the page has it."""

# No proxy, which would lead elsewhere.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
TIMEOUT = 120

TYPESCRIPT = {
    "openapi-typescript": ["openapi_fetch"],
    "@hey-api/openapi-ts, for fetch": ["hey_api", "hey_api_fetch"],
    "@hey-api/openapi-ts, for axios": ["hey_api", "hey_api_axios"],
    "orval, for fetch": ["orval"],
}
"""The folders of each client's tour."""


def command_of(generator: str, service: Service) -> list[str]:
    """The options of the page's command for a generator, whose row begins like this, and of this service."""
    (command,) = (command for name, command in ROWS.items() if name.startswith(generator))
    return shlex.split(command.replace("DOCUMENT", f"{service.url}/openapi.json"))


def test_page_names_the_versions_that_are_tried() -> None:
    pinned = json.loads((tools.PINNED / "package.json").read_text())["dependencies"]
    pinned |= dict(line.split("==") for line in (tools.PINNED / "requirements.in").read_text().split())
    module = (tools.PINNED / "go" / "go.mod").read_text()
    pinned |= re.findall(r"/(oapi-codegen)/v2 v([\d.]+)", module)
    project = (tools.PINNED / "java" / "pom.xml").read_text()
    pinned |= re.findall(r">(openapi-generator)-cli</artifactId>\s*<version>([\d.]+)<", project)
    rows = re.findall(r"^\| (\S+?),? .*?\| ([\d.]+) \|", PAGE, re.MULTILINE)
    said = [*rows, *re.findall(r"(openapi-fetch|axios) ([\d.]+)", PAGE)]
    assert len(rows) == len(ROWS) == 8
    assert [(name, version, pinned[name.lower()]) for name, version in said if pinned[name.lower()] != version] == []


@pytest.fixture(scope="module")
def compiled(process: Service, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tours of all clients in TypeScript, generated and compiled: a folder for each, by its number.

    One run of the compiler, which spends most of its time on what all have in common.
    """
    needed("node")
    directory, modules = tmp_path_factory.mktemp("typescript"), tools.node_modules()
    (directory / "node_modules").symlink_to(modules)
    (directory / "package.json").write_text('{"type": "module"}')
    run = partial(tools.run, timeout=TIMEOUT)
    for number, (client, folders) in enumerate(TYPESCRIPT.items()):
        place = directory / str(number)
        for folder in ("typescript", *folders):
            shutil.copytree(TOURS / folder, place, dirs_exist_ok=True)
        shutil.copy(tools.PINNED / "tsconfig.json", place)
        generator, *options = command_of(client, process)
        environment = {**ENVIRONMENT, "ADDRESS": process.url}
        run(modules / ".bin" / generator, *options, directory=place, environment=environment)
    settings = json.loads((tools.PINNED / "tsconfig.json").read_text())
    settings["files"] = [f"{number}/tour.ts" for number in range(len(TYPESCRIPT))]
    (directory / "tsconfig.json").write_text(json.dumps(settings))
    run(modules / ".bin" / "tsc", directory=directory, environment=ENVIRONMENT)
    return directory


# 10 seconds together; the rest is for the first time, which installs. So below.
@pytest.mark.compiled
@pytest.mark.timeout(400)
@pytest.mark.parametrize("client", TYPESCRIPT)
def test_typescript_client_takes_the_tour(client: str, compiled: Path, service: Service) -> None:
    place = compiled / str(list(TYPESCRIPT).index(client))
    tools.run("node", "tour.js", service.url, directory=place, timeout=TIMEOUT, environment=ENVIRONMENT)


@pytest.mark.timeout(400)
def test_python_client_takes_the_tour(service: Service, tmp_path: Path) -> None:
    binaries = tools.python_environment()
    shutil.copytree(TOURS / "openapi_python_client", tmp_path, dirs_exist_ok=True)
    # Else it would format what it wrote.
    (tmp_path / "generator.yaml").write_text("post_hooks: []\n")
    generator, *options = command_of("openapi-python-client", service)
    run = partial(tools.run, directory=tmp_path, timeout=TIMEOUT, environment=ENVIRONMENT)
    run(binaries / generator, *options, "--config=generator.yaml", "--fail-on-warning")
    run(binaries / "python", "tour.py", service.url)


@pytest.mark.compiled
@pytest.mark.timeout(400)
def test_mcp_tools_take_the_tour(service: Service, tmp_path: Path) -> None:
    shutil.copytree(TOURS / "fastmcp", tmp_path, dirs_exist_ok=True)
    python = tools.python_environment() / "python"
    tools.run(python, "tour.py", service.url, directory=tmp_path, timeout=TIMEOUT, environment=ENVIRONMENT)


@pytest.mark.compiled
@pytest.mark.timeout(400)
def test_go_client_takes_the_tour(service: Service, tmp_path: Path) -> None:
    go = needed("go")
    for folder in (TOURS / "oapi_codegen", tools.PINNED / "go"):
        shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "taller").mkdir()
    environment = {**ENVIRONMENT, "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"}
    for command in (["tool", *command_of("oapi-codegen", service)], ["vet", "./..."], ["run", ".", service.url]):
        tools.run(go, *command, directory=tmp_path, timeout=tools.INSTALL_TIMEOUT, environment=environment)


@pytest.mark.compiled
@pytest.mark.timeout(400)
def test_java_client_takes_the_tour(service: Service, tmp_path: Path) -> None:
    java, jars = needed("java"), tools.jars()
    (generator,) = (jars / "generator").iterdir()
    shutil.copytree(TOURS / "openapi_generator", tmp_path, dirs_exist_ok=True)
    _, *options = command_of("openapi-generator", service)
    run = partial(tools.run, directory=tmp_path, timeout=TIMEOUT, environment=ENVIRONMENT)
    code_alone = "apiTests=false,modelTests=false,apiDocs=false,modelDocs=false"
    run(java, "-jar", generator, *options, "--global-property", code_alone)
    sources = (tmp_path / "client" / "src" / "main" / "java").rglob("*.java")
    run("javac", "-proc:none", "-d", "classes", "-cp", f"{jars}/lib/*", "Tour.java", *sources)
    run(java, "-cp", f"classes:{jars}/lib/*", "Tour", service.url)
