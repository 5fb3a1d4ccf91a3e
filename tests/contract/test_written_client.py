"""The client of docs/api/write-a-client.md is compiled, and does against the service what the page says."""

import json
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import jwt
import pytest

from app.auth.accounts.service import SEED_PASSWORD, SEED_USERNAME
from app.auth.tokens import issue_access_token
from app.core.config import Settings
from app.core.database.migrations import ROOT
from app.core.signing import KeyRing
from tests.contract.languages import needed
from tests.contract.test_clients import ENVIRONMENT, TIMEOUT, TOURS
from tests.support import tools
from tests.support.doc_examples import ADDRESS, blocks
from tests.support.process import Service, running_service

pytestmark = pytest.mark.slow

CUT = b'"cut here"'
"""What the request holds whose answer gets lost."""
EXPIRED = -3600


class CuttingProxy:
    """Passes on what a client and the service say, but cuts the connection instead of the first answer to `CUT`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.has_cut = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        is_lost = threading.Event()

        def answer() -> None:
            with suppress(OSError):
                while (said := server.recv(65536)) and not is_lost.is_set():
                    client.sendall(said)
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

        with client, socket.create_connection(("127.0.0.1", self._port)) as server, suppress(OSError):
            threading.Thread(target=answer, daemon=True).start()
            while said := client.recv(65536):
                if CUT in said and not self.has_cut.is_set():
                    self.has_cut.set()
                    is_lost.set()
                server.sendall(said)


@pytest.fixture
def limited(server_url: str) -> Iterator[Service]:
    """A service that limits requests, so that clients have to wait."""
    with running_service(server_url, environment={"TALLER_RATE_LIMIT": "40/2"}) as service:
        yield service


def expired_pair(service: Service, *, has_ended: bool = False) -> dict[str, str]:
    """Tokens of a new session, with an access token of an hour ago. The session itself can have ended."""
    with service.client() as client:
        pair = client.post("/auth/login", json={"username": SEED_USERNAME, "password": SEED_PASSWORD}).json()
        claims = jwt.decode(pair["access_token"], options={"verify_signature": False})
        if has_ended:
            bearer = {"Authorization": f"Bearer {pair['access_token']}"}
            assert client.post("/auth/logout", headers=bearer).status_code == 204
    ring = KeyRing(Settings(_env_file=None))
    return {**pair, "access_token": issue_access_token(ring, claims["sub"], claims["sid"], EXPIRED)}


@pytest.mark.timeout(400)
def test_written_client_keeps_its_promises(limited: Service, tmp_path: Path) -> None:
    node, modules = needed("node"), tools.node_modules()
    (tmp_path / "node_modules").symlink_to(modules)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    shutil.copy(tools.PINNED / "tsconfig.json", tmp_path)
    for folder in ("typescript", "written"):
        shutil.copytree(TOURS / folder, tmp_path, dirs_exist_ok=True)
    page = (ROOT / "docs" / "api" / "write-a-client.md").read_text()
    (tmp_path / "client.ts").write_text("\n".join(text for kind, text in blocks(page) if kind == "ts"))
    pairs = [expired_pair(limited), expired_pair(limited), expired_pair(limited, has_ended=True)]

    run = partial(tools.run, directory=tmp_path, timeout=TIMEOUT, environment=ENVIRONMENT)
    (command,) = re.findall(r"`npx (openapi-typescript .+)`", page)
    generator, *options = command.replace(ADDRESS, limited.url).split()
    run(modules / ".bin" / generator, *options)
    run(modules / ".bin" / "tsc")
    proxy = CuttingProxy(limited.port)
    run(node, "tour.js", proxy.url, json.dumps(pairs))
    assert proxy.has_cut.is_set()
