"""Clients that generators make of the OpenAPI document do what the README's tour shows (docs/api/clients.md)."""

import os
import shutil
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


@pytest.fixture(scope="module")
def node() -> str:
    """Node. Without it the test is left out, or fails if TALLER_TEST_CLIENTS is `required`."""
    try:
        return tools.node()
    except tools.NodeMissingError as error:
        reason = f"{error}, so no TypeScript client was tried"
        if os.environ.get("TALLER_TEST_CLIENTS") == "required":
            pytest.fail(reason)
        pytest.skip(reason)


# 6 seconds each; the rest is for the first time, which installs.
@pytest.mark.timeout(400)
@pytest.mark.parametrize("client", TYPESCRIPT)
def test_a_typescript_client_takes_the_tour(client: str, node: str, service: Service, tmp_path: Path) -> None:
    modules = tools.node_modules()
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
