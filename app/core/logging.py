"""Structured logs: one JSON object per line on standard error."""

import asyncio
import json
import logging
import re
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from app.core.config import Settings

request_id_var: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that the running code serves."""

trace_id_var: ContextVar[str | None] = ContextVar("trace_id", default=None)
"""The trace of that request, where requests are traced."""

BATCH_SECONDS = 0.1
"""Seconds that the line of a request waits, to be written together with further lines."""

BATCH_BYTES = 4096
"""The most that is written at once: a write of this size to a pipe is atomic, whatever other processes write."""

BATCH_REQUESTS = 50
"""Requests whose lines are made together: one after the other, each takes a third of the time."""

ACCESS_LOGGER = "taller.access"

_STANDARD = vars(logging.makeLogRecord({})).keys() | {"message", "asctime", "color_message"}

_THOUSANDTHS = [f".{number:03}+00:00" for number in range(1000)]

_PLAIN = re.compile(r"[^\s\"\x00-\x1f\x7f]+")

RequestLine = tuple[float, str, str | None, int, str, str | None, int, float, str | None, dict[str, Any]]
"""The line of a request: when it ended, its id and that of its trace, the level, the method, the route, the status, the
seconds that it took, the caller, and further fields."""

_access, _root = logging.getLogger(ACCESS_LOGGER), logging.getLogger()


def log_request(
    request_id: str,
    level: int,
    method: str,
    route: str | None,
    status: int,
    seconds: float,
    caller: str | None,
    more: dict[str, Any],
) -> None:
    """Log the line of a request.

    `logging` would make a record, search for the handlers and take their locks, which costs ten times as much.
    """
    line = (time.time(), request_id, trace_id_var.get(), level, method, route, status, seconds, caller, more)
    for handler in (*_access.handlers, *_root.handlers):
        if isinstance(handler, BatchingHandler):
            handler.add(line)
        elif level >= handler.level:
            handler.handle(RequestRecord(line))


class RequestRecord(logging.LogRecord):
    """The line of a request, for handlers of others."""

    def __init__(self, line: RequestLine) -> None:
        super().__init__(ACCESS_LOGGER, line[3], "", 0, "request", (), None)
        self.created, self.line = line[0], line


def _encode(fields: dict[str, Any]) -> str:
    try:
        # It takes a quarter of the time that `json` takes.
        return str(to_json(fields, fallback=str), "utf-8")
    except PydanticSerializationError:
        # Unpaired surrogates cannot be encoded as UTF-8; `json` escapes them.
        return json.dumps(fields, default=str)


class JsonFormatter(logging.Formatter):
    """Formats time, level, logger, message, request id and the call's `extra` as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        return self.request(record.line) if isinstance(record, RequestRecord) else _encode(log_fields(record))

    def request(self, line: RequestLine) -> str:
        """Return the line of a request. What changes with each is ids and numbers, in which nothing is escaped."""
        ended, request_id, trace_id, level, method, route, status, seconds, caller, more = line
        beginning, request = _request_texts(level, method, route, status)
        trace = "" if trace_id is None else f'"trace_id":"{trace_id}",'
        rest = "" if caller is None else f',"caller":"{caller}"'
        if more:
            rest += f",{_encode(more)[1:-1]}"
        return (
            f'{{"time":"{_written_time(ended)}",{beginning},"request_id":"{request_id}",{trace}{request},'
            f'"ms":{seconds * 1000:.2f}{rest}}}'
        )


class TextFormatter(JsonFormatter):
    """Formats the same as text for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, and the traceback if there is one."""
        return _text(super().format(record))

    def request(self, line: RequestLine) -> str:
        """Return the line of a request."""
        return _text(super().request(line))


def _text(line: str) -> str:
    fields = json.loads(line)
    head = f"{fields.pop('time')[11:23]} {fields.pop('level'):<7} {fields.pop('logger')} {fields.pop('message')}"
    trace = fields.pop("exception", None)
    more = [f"{key}={_plain(value)}" for key, value in fields.items()]
    return " ".join([head, *more]) + (f"\n{trace}" if trace else "")


@lru_cache
def _request_texts(level: int, method: str, route: str | None, status: int) -> tuple[str, str]:
    """Return what lines of equal requests have in common: before and after the ids."""
    beginning = {"level": logging.getLevelName(level).lower(), "logger": ACCESS_LOGGER, "message": "request"}
    return _encode(beginning)[1:-1], _encode({"method": method, "route": route, "status": status})[1:-1]


def _written_time(seconds: float) -> str:
    """Return a time in UTC with three digits of a second."""
    whole, part = divmod(seconds, 1.0)
    return _written_second(whole) + _THOUSANDTHS[int(part * 1000)]


@lru_cache(maxsize=1)
def _written_second(seconds: float) -> str:
    # Many lines have the same, and to write it takes longer than the rest of the time.
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _plain(value: Any) -> Any:
    """Return a value as text has it: quoted if its end, or that of the line, could not be seen."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) and not _PLAIN.fullmatch(value) else value


def log_fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return the fields of a log line."""
    fields: dict[str, Any] = {
        "time": _written_time(record.created),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage(),
    }
    if request_id := request_id_var.get():
        fields["request_id"] = request_id
    if trace_id := trace_id_var.get():
        fields["trace_id"] = trace_id
    fields.update((key, value) for key, value in vars(record).items() if key not in _STANDARD)
    if record.exc_info:
        fields["exception"] = logging.Formatter().formatException(record.exc_info)
    return fields


class BatchingHandler(logging.StreamHandler[Any]):
    """Writes log lines in order: the lines of requests in batches, every other line at once.

    A process that is killed (SIGKILL) loses the lines of its last 0.1 s.
    """

    formatter: JsonFormatter  # ty: ignore[incompatible-mutable-override] # of our own kind

    def __init__(self) -> None:
        super().__init__()
        self._requests: list[RequestLine] = []
        self._lines: list[str] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, line: RequestLine) -> None:
        """Buffer the line of a request for the next batch."""
        # Without the lock: who flushes in another thread takes out what was there.
        self._requests.append(line)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(BATCH_SECONDS, self._end_batch)
        elif len(self._requests) >= BATCH_REQUESTS:
            self.acquire()
            try:
                self._format()
            except Exception:  # noqa: BLE001 - as in every handler: a failure to log must not stop the caller
                self.handleError(RequestRecord(line))
            finally:
                self.release()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, and the buffered ones before it."""
        try:
            self._format()
            self._put(self.format(record))
            self._write()
        except Exception:  # noqa: BLE001 - as in every handler: a failure to log must not stop the caller
            self.handleError(record)

    def flush(self) -> None:
        """Write the buffered lines."""
        self.acquire()
        try:
            self._format()
            self._write()
        finally:
            self.release()

    def _format(self) -> None:
        """Make lines of the buffered requests, and write those that fill a batch."""
        requests = self._requests[:]
        del self._requests[: len(requests)]
        for request in requests:
            self._put(self.formatter.request(request))

    def _put(self, line: str) -> None:
        line += self.terminator
        size = len(line) if line.isascii() else len(line.encode(errors="surrogatepass"))
        if self._size + size > BATCH_BYTES:
            self._write()
        self._lines.append(line)
        self._size += size

    def _write(self) -> None:
        lines, self._lines, self._size = self._lines, [], 0
        if lines:
            self.stream.write("".join(lines))
        super().flush()

    def _end_batch(self) -> None:
        self._timer = None
        self.flush()


def flush_logs() -> None:
    """Write the buffered log lines of this process."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def configure_logging(settings: Settings) -> None:
    """Send every log line of this process to standard error, in the configured format."""
    # No line shows the thread and the process, and each costs a system call for every line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = BatchingHandler()
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for name in ("uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # Our own access line has the request id and the route template; uvicorn's has the raw address.
    logging.getLogger("uvicorn.access").disabled = True
    logging.getLogger("alembic").setLevel(logging.WARNING)
