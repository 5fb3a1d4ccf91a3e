"""Traces by OpenTelemetry: a span for each request, and within it one for each statement.

The official instrumentations do not fit: that of FastAPI wraps layers that requests here do not pass, that of asyncpg
patches functions that our connections do not call, and records values of statements. So this module begins and ends the
spans itself. What samples, batches and sends them is OpenTelemetry's own SDK, which `OTEL_…` variables configure.

It is imported where `TALLER_OTLP_ENDPOINT` is set, and nothing of OpenTelemetry elsewhere.
"""

from contextvars import Token
from typing import Any

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import Scope

from app.core.logging import trace_id_var

_PROPAGATOR = TraceContextTextMapPropagator()
_HEADERS = (b"traceparent", b"tracestate")


class RequestSpan:
    """The span of a request that is being served."""

    __slots__ = ("_context", "_log", "span", "traceparent")

    def __init__(self, span: Span) -> None:
        self.span = span
        carrier: dict[str, str] = {}
        self._context: Token[Any] = context.attach(trace.set_span_in_context(span))
        _PROPAGATOR.inject(carrier)
        self.traceparent = carrier["traceparent"]
        """The value of the header by which the client learns the trace."""

        self._log = trace_id_var.set(format(span.get_span_context().trace_id, "032x"))

    def end(self, scope: Scope, status: int) -> None:
        """End the span of a request that was answered with this status."""
        route = getattr(scope.get("route"), "path", None)
        if route is not None:
            self.span.update_name(f"{scope['method']} {route}")
            self.span.set_attribute("http.route", route)
        self.span.set_attribute("http.response.status_code", status)
        if status >= 500:
            self.span.set_status(StatusCode.ERROR)
        self.span.end()
        trace_id_var.reset(self._log)
        context.detach(self._context)


class Tracing:
    """Begins the spans of a process, and sends them."""

    def __init__(self, endpoint: str, version: str) -> None:
        resource = Resource.create({SERVICE_NAME: "taller", SERVICE_VERSION: version})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
        self._tracer = self._provider.get_tracer("taller", version)

    def begin_request(self, scope: Scope) -> RequestSpan:
        """Begin the span of a request, in the trace that its headers name, if they do."""
        carrier = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _HEADERS}
        span = self._tracer.start_span(
            scope["method"],
            context=_PROPAGATOR.extract(carrier) if carrier else None,
            kind=SpanKind.SERVER,
            attributes={"http.request.method": scope["method"], "url.scheme": scope["scheme"]},
        )
        return RequestSpan(span)

    def begin_statement(self, sql: str) -> Span:
        """Begin the span of a statement, whose values are parameters and not part of its SQL."""
        return self._tracer.start_span(
            sql.split(None, 1)[0],
            kind=SpanKind.CLIENT,
            attributes={"db.system.name": "postgresql", "db.query.text": sql},
        )

    def close(self) -> None:
        """Send what has not been sent. It waits for the receiver, so run it in a thread."""
        self._provider.shutdown()
