"""Clients that generators make of the OpenAPI document do what the README's tour shows (docs/api/clients.md)."""

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.support import tools
from tests.support.process import Service

TOURS = Path(__file__).with_name("clients")
# No proxy, which would lead elsewhere.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}

# The folders of each client, and how it is generated of DOCUMENT.
TYPESCRIPT = {
    # What has a default may be left out of a body.
    "openapi-fetch": (
        "openapi-typescript DOCUMENT --output=schema.d.ts --default-non-nullable=false",
        ["openapi_fetch"],
    ),
    "hey-api-fetch": ("openapi-ts", ["hey_api", "hey_api_fetch"]),
    "hey-api-axios": ("openapi-ts", ["hey_api", "hey_api_axios"]),
    "orval": ("orval", ["orval"]),
}


def needed(find: Callable[[], str]) -> str:
    """The program that `find` finds. Without it the test is left out, or fails if TALLER_TEST_CLIENTS names it."""
    try:
        return find()
    except tools.MissingError as error:
        reason = f"{error}, so this client was not tried"
        if find.__name__ in os.environ.get("TALLER_TEST_CLIENTS", "").split(","):
            pytest.fail(reason)
        pytest.skip(reason)


# 4 seconds each; the rest is for the first time, which installs. So below.
@pytest.mark.timeout(400)
@pytest.mark.parametrize("client", TYPESCRIPT)
def test_a_typescript_client_takes_the_tour(client: str, service: Service, tmp_path: Path) -> None:
    node, modules = needed(tools.node), tools.node_modules()
    (tmp_path / "node_modules").symlink_to(modules)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    command, folders = TYPESCRIPT[client]
    for folder in ("typescript", *folders):
        shutil.copytree(TOURS / folder, tmp_path, dirs_exist_ok=True)
    generator, *options = command.replace("DOCUMENT", f"{service.url}/openapi.json").split()
    environment = {**ENVIRONMENT, "ADDRESS": service.url}
    tools.run(modules / ".bin" / generator, *options, directory=tmp_path, timeout=60, environment=environment)
    tools.run(modules / ".bin" / "tsc", directory=tmp_path, timeout=60, environment=ENVIRONMENT)
    tools.run(node, "tour.js", service.url, directory=tmp_path, timeout=60, environment=ENVIRONMENT)


@pytest.mark.timeout(400)
def test_a_python_client_takes_the_tour(service: Service, tmp_path: Path) -> None:
    binaries = tools.python_environment()
    # Else it would format what it wrote.
    (tmp_path / "generator.yaml").write_text("post_hooks: []\n")
    shutil.copy(TOURS / "openapi_python_client" / "tour.py", tmp_path)
    tools.run(
        binaries / "openapi-python-client",
        "generate",
        f"--url={service.url}/openapi.json",
        "--meta=none",
        "--output-path=taller_client",
        "--config=generator.yaml",
        "--fail-on-warning",
        directory=tmp_path,
        timeout=60,
        environment=ENVIRONMENT,
    )
    # The generator forgets this import where a body has two media types and no parameter is optional (its issue 1451).
    for module in (tmp_path / "taller_client" / "api").rglob("*.py"):
        module.write_text(module.read_text().replace("import Response, UNSET\n", "import Response, UNSET, Unset\n"))
    tools.run(binaries / "python", "tour.py", service.url, directory=tmp_path, timeout=60, environment=ENVIRONMENT)


@pytest.mark.timeout(400)
def test_the_tools_of_an_mcp_bridge_take_the_tour(service: Service, tmp_path: Path) -> None:
    shutil.copy(TOURS / "fastmcp" / "tour.py", tmp_path)
    python = tools.python_environment() / "python"
    tools.run(python, "tour.py", service.url, directory=tmp_path, timeout=60, environment=ENVIRONMENT)


@pytest.mark.compiled
@pytest.mark.timeout(400)
def test_a_go_client_takes_the_tour(service: Service, tmp_path: Path) -> None:
    go = needed(tools.go)
    shutil.copytree(TOURS / "oapi_codegen", tmp_path, dirs_exist_ok=True)
    for file in ("go.mod", "go.sum"):
        shutil.copy(tools.PINNED / "go" / file, tmp_path)
    (tmp_path / "taller").mkdir()
    environment = {**ENVIRONMENT, "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"}

    for command in (
        ("tool", "oapi-codegen", "-config", "oapi-codegen.yaml", f"{service.url}/openapi.json"),
        ("vet", "./..."),
        ("run", ".", service.url),
    ):
        tools.run(go, *command, directory=tmp_path, timeout=300, environment=environment)


@pytest.mark.compiled
@pytest.mark.timeout(400)
def test_a_java_client_takes_the_tour(service: Service, tmp_path: Path) -> None:
    java, jars = needed(tools.java), tools.jars()
    (generator,) = (jars / "generator").iterdir()
    shutil.copy(TOURS / "openapi_generator" / "Tour.java", tmp_path)
    options = {
        "invokerPackage": "taller",
        "apiPackage": "taller.api",
        "modelPackage": "taller.model",
        # Lists have many parameters: by name, not by place.
        "useSingleRequestParameter": "true",
    }
    run = partial(tools.run, directory=tmp_path, timeout=120, environment=ENVIRONMENT)
    run(
        *(java, "-jar", generator, "generate", "-g", "java", "--library", "native"),
        *("-i", f"{service.url}/openapi.json", "-o", "client"),
        *("--global-property", "apiTests=false,modelTests=false,apiDocs=false,modelDocs=false"),
        *("--additional-properties", ",".join(f"{name}={value}" for name, value in options.items())),
    )
    sources = [*(tmp_path / "client" / "src" / "main" / "java").rglob("*.java"), "Tour.java"]
    run("javac", "-proc:none", "-d", "classes", "-cp", f"{jars}/lib/*", *sources)
    run(java, "-ea", "-cp", f"classes:{jars}/lib/*", "Tour", service.url)
