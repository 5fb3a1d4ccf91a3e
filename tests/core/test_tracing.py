"""Traces, as a receiver of OTLP over HTTP gets them."""

import gzip
import io
import logging
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from app.auth.models import User
from app.core.config import Settings
from app.core.database.database import Database
from app.core.logging import ACCESS_LOGGER, JsonFormatter
from app.main import create_app
from tests.support.client import Api, bearer_of

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Receiver:
    """A receiver of traces on a port of its own."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        spans = self.spans

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                received = ExportTraceServiceRequest.FromString(body)
                spans.extend(
                    span
                    for resource in received.resource_spans
                    for scope in resource.scope_spans
                    for span in scope.spans
                )
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
                """Write nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}/v1/traces"
        self._thread = Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


async def test_a_receiver_gets_spans_of_request_and_statements(
    settings: Settings, database: Database, user: User, receiver: Receiver
) -> None:
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(JsonFormatter())
    log = logging.getLogger(ACCESS_LOGGER)
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    app = create_app(settings.model_copy(update={"otlp_endpoint": receiver.endpoint}))
    try:
        async with app.router.lifespan_context(app), Api(app, await bearer_of(app, user)) as api:
            await api.get("/projects/", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
            made = await api.post("/projects/", json={"name": "Not to be seen"})
            await api.get("/nothing/here")
    finally:
        log.removeHandler(handler)
        log.setLevel(level)

    requests = {span.name: span for span in receiver.spans if span.kind == 2}
    statements = [span for span in receiver.spans if span.kind == 3]
    assert requests.keys() == {"GET /api/v1/projects/", "POST /api/v1/projects/", "GET"}
    listed = requests["GET /api/v1/projects/"]
    assert (listed.trace_id.hex(), listed.parent_span_id.hex()) == (TRACE, PARENT)
    written = requests["POST /api/v1/projects/"]
    assert made.headers["traceparent"].startswith(f"00-{written.trace_id.hex()}-{written.span_id.hex()}-")
    assert f'"trace_id":"{TRACE}"' in lines.getvalue()
    inserted = [span for span in statements if span.parent_span_id == written.span_id]
    assert any("INSERT INTO projects" in str(span) for span in inserted)
    assert "Not to be seen" not in str(receiver.spans)


async def test_without_an_endpoint_nothing_is_traced(api: Api) -> None:
    answer = await api.get("/projects/", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    assert "traceparent" not in answer.headers
