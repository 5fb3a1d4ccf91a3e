"""A real nginx, HAProxy and Caddy in front of the service, set up as docs/operations.md has it."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from app.core.database.migrations import ROOT
from devtools.postgres import die_with_parent
from tests.support.doc_examples import blocks

START_TIMEOUT = 20
PAGE = ROOT / "docs" / "operations.md"

# Debian installs nginx and HAProxy where only root's PATH leads.
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
NOT_INSTALLED = "nginx, HAProxy or Caddy is not installed (Debian: apt-get install nginx haproxy caddy)"

NGINX = """\
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log stderr;
events {{}}
http {{
access_log off;
client_body_temp_path {directory}/bodies;
proxy_temp_path {directory}/answers;
fastcgi_temp_path {directory}/unused;
uwsgi_temp_path {directory}/unused;
scgi_temp_path {directory}/unused;
{snippet}
}}
"""

UPGRADES = """
    # As for an application that speaks WebSocket.
    location /upgrades/ {
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $http_connection;
        proxy_request_buffering off;
        proxy_pass http://taller/;
    }
"""


def programs() -> tuple[str, ...]:
    """Return their paths. Without them, skip the test, or fail it if TALLER_TEST_PROXIES is `required`."""
    found = [shutil.which(name, path=PATH) for name in ("nginx", "haproxy", "caddy")]
    if None in found:
        if os.environ.get("TALLER_TEST_PROXIES") == "required":
            pytest.fail(NOT_INSTALLED)
        pytest.skip(NOT_INSTALLED)
    return tuple(program for program in found if program is not None)


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running_proxies(service: int, *, nginx: int, haproxy: int, caddy: int) -> Generator[None]:
    """Run all in front of the service at that port, each also under the path `/taller/`."""
    nginx_program, haproxy_program, caddy_program = programs()
    page = blocks(PAGE.read_text())
    server, nginx_path = (text for kind, text in page if kind == "nginx")
    frontend, haproxy_path, _ = (text for kind, text in page if kind == "haproxy")
    site, caddy_path = (text for kind, text in page if kind == "caddy")
    site = site.replace("    reverse_proxy", caddy_path + "    reverse_proxy")
    inside = server.rindex("}")
    server = server[:inside] + nginx_path + UPGRADES + server[inside:]
    frontend = frontend.replace("    default_backend", haproxy_path + "    default_backend")
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="taller-proxies-")))
        configuration = directory / "nginx.conf"
        configuration.write_text(NGINX.format(directory=directory, snippet=_at(server, service, nginx)))
        stack.enter_context(_running(nginx, nginx_program, "-p", str(directory), "-c", str(configuration)))
        configuration = directory / "haproxy.cfg"
        configuration.write_text(_at(frontend, service, haproxy))
        stack.enter_context(_running(haproxy, haproxy_program, "-db", "-f", str(configuration)))
        configuration = directory / "Caddyfile"
        configuration.write_text("{\n    admin off\n}\n" + _at(site, service, caddy))
        # It keeps certificates and its own state below the home.
        command = (
            "env",
            f"HOME={directory}",
            caddy_program,
            "run",
            "--adapter",
            "caddyfile",
            "--config",
            str(configuration),
        )
        stack.enter_context(_running(caddy, *command))
        yield


@contextmanager
def running_balancer(port: int, *services: int) -> Generator[None]:
    """Run HAProxy in front of two instances, as the page has it for replacing them."""
    program = programs()[1]
    frontend, _, backend = (text for kind, text in blocks(PAGE.read_text()) if kind == "haproxy")
    configuration = frontend[: frontend.rindex("backend taller")] + backend
    for shown, actual in zip((8081, 8000, 8010), (port, *services), strict=True):
        configuration = configuration.replace(f"127.0.0.1:{shown}", f"127.0.0.1:{actual}")
    with tempfile.TemporaryDirectory(prefix="taller-balancer-") as directory:
        file = Path(directory) / "haproxy.cfg"
        file.write_text(configuration)
        with _running(port, program, "-db", "-f", str(file)):
            yield


def _at(snippet: str, service: int, port: int) -> str:
    """Return the snippet with these ports in it."""
    return re.sub(r":808\d\b", f":{port}", snippet).replace(":8000", f":{service}")


@contextmanager
def _running(port: int, *command: str) -> Generator[None]:
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - it makes one system call
        )
        try:
            deadline = time.monotonic() + START_TIMEOUT
            while process.poll() is None and time.monotonic() < deadline:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.02)
            else:
                log.seek(0)
                raise AssertionError(f"{command[0]} did not start:\n{log.read().decode(errors='replace')[-2000:]}")
            yield
        finally:
            process.terminate()
            process.wait()
