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

BATCH_RECORDS = 50
"""Requests whose lines are made together: one after the other, each takes a third of the time."""

ACCESS_LOGGER = "taller.access"

_BLANK = vars(
    logging.makeLogRecord({"name": ACCESS_LOGGER, "levelno": logging.INFO, "levelname": "INFO", "msg": "request"})
)
_STANDARD = _BLANK.keys() | {"message", "asctime", "color_message"}
# To make room for a key in a copy would take as long as the copy.
_BLANK |= {"fields": None, "context": None}

_PLAIN = re.compile(r"[^\s\"\x00-\x1f\x7f]+")


def _context() -> tuple[str | None, str | None]:
    """Return the ids of the request that is served, and of its trace."""
    return request_id_var.get(), trace_id_var.get()


class AccessRecord(logging.LogRecord):
    """The line of one request."""

    fields: dict[str, Any]
    """The fields of the line, without the time, the level, the logger and the ids."""

    context: tuple[str | None, str | None]
    """The ids of the request and of its trace."""

    def __init__(self, fields: dict[str, Any], level: int = logging.INFO) -> None:
        # The constructor would look up the source line, the thread and the process, which no line shows.
        self.__dict__ = known = _BLANK.copy()
        known["created"], known["fields"], known["context"] = time.time(), fields, _context()
        if level != logging.INFO:
            self.levelno, self.levelname = level, logging.getLevelName(level)


def _encode(fields: dict[str, Any]) -> str:
    try:
        # It takes a quarter of the time that `json` takes.
        return str(to_json(fields, fallback=str), "utf-8")
    except PydanticSerializationError:
        # Unpaired surrogates cannot be encoded as UTF-8; `json` escapes them.
        return json.dumps(fields, default=str)


class JsonFormatter(logging.Formatter):
    """Formats records as JSON: time, level, logger, message, request id and the call's `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        return _encode(log_fields(record))


class TextFormatter(logging.Formatter):
    """Formats the same fields as text for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, and the traceback if there is one."""
        fields = log_fields(record)
        head = f"{fields.pop('time')[11:23]} {fields.pop('level'):<7} {fields.pop('logger')} {fields.pop('message')}"
        trace = fields.pop("exception", None)
        return " ".join([head, *(f"{key}={_plain(value)}" for key, value in fields.items())]) + (
            f"\n{trace}" if trace else ""
        )


def _written_time(seconds: float) -> str:
    """Return a time in UTC with three digits of a second."""
    whole = int(seconds)
    return f"{_written_second(whole)}.{int((seconds - whole) * 1000):03}+00:00"


@lru_cache(maxsize=1)
def _written_second(seconds: int) -> str:
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
    request_id, trace_id = record.context if isinstance(record, AccessRecord) else _context()
    if request_id:
        fields["request_id"] = request_id
    if trace_id:
        fields["trace_id"] = trace_id
    if isinstance(record, AccessRecord):
        fields.update(record.fields)
        return fields
    fields.update((key, value) for key, value in vars(record).items() if key not in _STANDARD)
    if record.exc_info:
        fields["exception"] = logging.Formatter().formatException(record.exc_info)
    return fields


class BatchingHandler(logging.StreamHandler[Any]):
    """Writes log lines in order: the lines of requests in batches, every other line at once.

    A process that is killed (SIGKILL) loses the lines of its last 0.1 s.
    """

    def __init__(self) -> None:
        super().__init__()
        self._records: list[logging.LogRecord] = []
        self._lines: list[str] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or buffer it for the next batch."""
        self._records.append(record)
        try:
            if not isinstance(record, AccessRecord):
                self.flush()
            elif len(self._records) == BATCH_RECORDS:
                self._format()
            elif self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(BATCH_SECONDS, self._end_batch)
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
        """Make lines of the buffered records, and write those that fill a batch."""
        records, self._records = self._records, []
        for record in records:
            try:
                line = self.format(record) + self.terminator
                size = len(line) if line.isascii() else len(line.encode(errors="surrogatepass"))
                if self._size + size > BATCH_BYTES:
                    self._write()
                self._lines.append(line)
                self._size += size
            except Exception:  # noqa: BLE001 - as in every handler: a failure to log must not stop the caller
                self.handleError(record)

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
