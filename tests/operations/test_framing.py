"""Where one request ends and the next begins: the service sees as many requests as were sent, by itself and behind
nginx, HAProxy and Caddy.
"""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count

import httpx2
import pytest

from tests.support.process import Service, running_service
from tests.support.proxies import free_port, running_proxies

pytestmark = pytest.mark.slow

SMUGGLED = b"GET /problems/smuggled HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
LIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
CLOSE = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
LOGIN = b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
WRONG = b'{"username": "nobody", "password": "nothing"}'
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
WEBSOCKET = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
WEBSOCKET += b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
CHUNKED = LOGIN + b"Transfer-Encoding: chunked\r\n\r\n"
FULL = 16_384
EVIL = ("GET", "/problems/{code}")

FRONTS = ("service", "nginx", "haproxy", "caddy")
_markers = count()


def _with_length(body: bytes, more: bytes = b"") -> bytes:
    return LOGIN + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _chunked(body: bytes) -> bytes:
    return CHUNKED + b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"


def _full() -> bytes:
    return WRONG + b" " * (FULL - len(WRONG))


WELL_FORMED = {
    "one": ([CLOSE], 1),
    "pipelined": ([LIVE * 5 + CLOSE], 6),
    "pipelined full-size bodies": ([(_with_length(_full()) + _chunked(_full())) * 3 + CLOSE], 7),
    "a body that reads like a request": ([_with_length(SMUGGLED) + CLOSE], 2),
    "an offered upgrade with a body": ([_with_length(WRONG, OFFER) + CLOSE], 2),
    "an offered upgrade with a body that reads like a request": ([_with_length(SMUGGLED, OFFER) + CLOSE], 2),
    "the same, later": ([_with_length(SMUGGLED, OFFER).removesuffix(SMUGGLED), SMUGGLED, CLOSE], 2),
    "an offered WebSocket": ([LIVE[:-2] + WEBSOCKET + b"\r\n" + CLOSE], 2),
    "trailers": ([CHUNKED + b"2\r\n{}\r\n0\r\nAuthorization: Bearer x\r\n\r\n" + CLOSE], 2),
    "chunk extensions": ([CHUNKED + b'2;a=b;c="d"\r\n{}\r\n0\r\n\r\n' + CLOSE], 2),
    "every byte by itself": ([bytes([byte]) for byte in _with_length(WRONG, OFFER) + _chunked(WRONG) + CLOSE], 3),
}
"""What is sent, in how many packets, and the requests in it."""

MALFORMED = {
    "both lengths": LOGIN + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths, the other way": LOGIN + b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n",
    "a length twice": LOGIN + b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n",
    "a list of lengths": LOGIN + b"Content-Length: 0, 44\r\n\r\n",
    "a signed length": LOGIN + b"Content-Length: +0\r\n\r\n",
    "a blank before the colon": LOGIN + b"Content-Length : 44\r\n\r\n",
    "a folded line": LOGIN + b"X: a\r\n Content-Length: 44\r\n\r\n",
    "a bare line feed": LOGIN + b"X: a\nContent-Length: 44\r\n\r\n",
    "a bare carriage return": LOGIN + b"X: a\rContent-Length: 44\r\n\r\n",
    "another coding": LOGIN + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a coding that only looks like it": LOGIN + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a hidden coding": LOGIN + b"Transfer-Encoding: \x0bchunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "a size with a line feed": CHUNKED + b"2\n{}\r\n0\r\n\r\n",
    "a size with a prefix": CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n",
    "a size that overflows": CHUNKED + b"10000000000000002\r\n{}\r\n0\r\n\r\n",
    "an extension with a line feed": CHUNKED + b"2;a\nb\r\n{}\r\n0\r\n\r\n",
    "too long a chunk": CHUNKED + b"2\r\n{}}}\r\n0\r\n\r\n",
    "two hosts": b"GET /health/live HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "CONNECT": b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n",
}
"""Requests after which nobody may be served, although another one follows."""


@dataclass
class Fronts:
    """The service and the proxies in front of it, by their ports."""

    service: Service
    ports: dict[str, int]

    def exchange(self, front: str, *packets: bytes, half_close: bool = False) -> bytes:
        """Send these, each by itself, and read what is answered until the other end closes the connection."""
        answer = b""
        with socket.create_connection(("127.0.0.1", self.ports[front]), 20) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # The other end may have hung up.
            with suppress(OSError):
                for packet in packets:
                    connection.sendall(packet)
                    if len(packets) < 5:
                        # So that a proxy, too, passes each on by itself.
                        time.sleep(0.05)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)
                while part := connection.recv(65536):
                    answer += part
        return answer

    def seen(self, front: str, *packets: bytes, half_close: bool = False) -> tuple[list[tuple[str, str | None]], bytes]:
        """The method and route of each request that the service saw of these, by its log; and the answers."""
        before = len(self._lines())
        answer = self.exchange(front, *packets, half_close=half_close)
        lines = self.written()[before:]
        return [(line["method"], line["route"]) for line in lines[:-1]], answer

    def written(self) -> list[dict[str, str]]:
        """All lines of requests until now, and one more: lines are written a few together, in their order."""
        marker = f"marker-{next(_markers)}"
        with self.service.client() as client:
            client.get("/openapi.json", headers={"X-Request-ID": marker})
        deadline = time.monotonic() + 20
        while not (lines := self._lines()) or lines[-1]["request_id"] != marker:
            assert time.monotonic() < deadline, "the marker does not come"
            time.sleep(0.01)
        return lines

    def _lines(self) -> list[dict[str, str]]:
        written = self.service.log_file.read_bytes().splitlines()
        return [json.loads(line) for line in written if b'"taller.access"' in line]


@pytest.fixture(scope="module")
def fronts(server_url: str) -> Iterator[Fronts]:
    nginx, haproxy, caddy = free_port(), free_port(), free_port()
    environment = {"TALLER_PUBLIC_URL": f"http://127.0.0.1:{nginx}/taller", "TALLER_LOG_LEVEL": "debug"}
    with (
        running_service(server_url, environment=environment) as service,
        running_proxies(service.port, nginx=nginx, haproxy=haproxy, caddy=caddy),
    ):
        fronts = Fronts(service, {"service": service.port, "nginx": nginx, "haproxy": haproxy, "caddy": caddy})
        fronts.written()
        yield fronts


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("case", WELL_FORMED)
def test_the_service_sees_as_many_requests_as_were_sent(fronts: Fronts, front: str, case: str) -> None:
    packets, expected = WELL_FORMED[case]
    seen, answer = fronts.seen(front, *packets)
    assert (len(seen), answer.count(b"HTTP/1.1 ")) == (expected, expected)
    assert EVIL not in seen


def test_a_connection_that_the_client_has_half_closed_is_answered(fronts: Fronts) -> None:
    seen, answer = fronts.seen("service", LIVE + _with_length(WRONG), half_close=True)
    assert (len(seen), answer.count(b"HTTP/1.1 ")) == (2, 2)


def test_nor_does_it_see_more_where_nginx_passes_offers_on(fronts: Fronts) -> None:
    upgrade = _with_length(SMUGGLED, OFFER).replace(b"POST /", b"POST /upgrades/")
    for packets in ([upgrade + CLOSE], [upgrade.removesuffix(SMUGGLED), SMUGGLED, CLOSE]):
        seen, _ = fronts.seen("nginx", *packets)
        assert seen == [("POST", "/api/v1/auth/login"), ("GET", "/health/live")]
    offer = LIVE[:-2].replace(b"GET /", b"GET /upgrades/") + WEBSOCKET + b"\r\n"
    assert fronts.seen("nginx", offer + CLOSE)[0] == [("GET", "/health/live")] * 2


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("case", MALFORMED)
def test_nothing_that_may_be_a_body_is_run(fronts: Fronts, front: str, case: str) -> None:
    seen, answer = fronts.seen(front, LIVE + MALFORMED[case] + SMUGGLED)
    assert seen[0] == ("GET", "/health/live")
    # A proxy may put right what is malformed, or answer it and read on: then the last one is a request to both.
    assert seen.count(EVIL) == answer.count(b"/problems/smuggled")
    if front == "service":
        assert EVIL not in seen


def test_the_log_has_access_lines_only(fronts: Fronts) -> None:
    fronts.exchange("service", LIVE[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + CLOSE)
    warnings = [line for line in fronts.service.log_file.read_text().splitlines() if '"level":"warning"' in line]
    assert warnings == []


@pytest.mark.parametrize("front", ["nginx", "haproxy", "caddy"])
def test_under_a_path_every_reference_leads_somewhere(fronts: Fronts, front: str) -> None:
    base = f"http://127.0.0.1:{fronts.ports[front]}"
    with httpx2.Client(base_url=base, trust_env=False, timeout=20) as client:
        page = client.get("/taller/docs").text
        assets = [part.split('"')[0] for part in page.split('="/')[1:]]
        assert len(assets) >= 4
        refused = client.get("/taller/projects/")
        document = client.get("/taller/openapi.json").json()
        token = document["components"]["securitySchemes"]["bearer"]["flows"]["password"]["tokenUrl"]
        signed_in = client.post(token, data={"username": "admin", "password": "1234"}).json()
        client.headers["authorization"] = f"Bearer {signed_in['access_token']}"
        made = client.post("/taller/projects/", json={"name": front})
        client.post("/taller/projects/", json={"name": "another"})
        listed = client.get("/taller/projects/", params={"size": 1})
        for address in (*(f"/{asset}" for asset in assets), refused.json()["type"], made.headers["location"]):
            assert client.get(address).status_code == 200, address
        assert client.get(listed.links["next"]["url"]).status_code == 200
    assert document["servers"] == [{"url": f"http://127.0.0.1:{fronts.ports['nginx']}/taller"}]
