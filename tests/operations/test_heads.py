"""A request whose head does not end costs no memory."""

import socket

from tests.support.process import Service


def test_a_head_without_end_is_cut_off_and_others_are_served(service: Service) -> None:
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Long: ")
        sent = 0
        try:
            while sent < 8 * 1024 * 1024:
                sent += connection.send(b"x" * 65536)
        except OSError:
            pass
        assert sent < 8 * 1024 * 1024, "somebody read all of it"
    with service.client() as client:
        assert client.get("/health/live").status_code == 200
        # A long body is no head.
        assert client.post("/projects/", json={"name": "y" * 300_000}).status_code == 401
