"""Structured logs: one JSON object per line on standard error."""

import asyncio
import json
import logging
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from app.core.config import Settings

request_id_var: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The request that the running code serves."""

BATCH_SECONDS = 0.1
"""The longest that the line of a request waits for others, to be written together with them."""

BATCH_BYTES = 4096
"""What is written at once at most. So much goes into a pipe as a whole, whatever other processes write to it."""

ACCESS_LOGGER = "taller.access"

_BLANK = vars(
    logging.makeLogRecord({"name": ACCESS_LOGGER, "levelno": logging.INFO, "levelname": "INFO", "msg": "request"})
)
_STANDARD = _BLANK.keys() | {"message", "asctime", "color_message"}


class AccessRecord(logging.LogRecord):
    """The line of one request."""

    def __init__(self, fields: dict[str, Any]) -> None:
        # The constructor would look up the place in the code, the thread and the process, which no line shows.
        vars(self).update(_BLANK)
        self.created = time.time()
        self.fields = fields
        """The fields of the line, without the time, the level, the logger and the request's id."""


def _encode(fields: dict[str, Any]) -> str:
    try:
        # A quarter of what `json` needs.
        return to_json(fields, fallback=str).decode()
    except PydanticSerializationError:
        # Halves of surrogate pairs have no UTF-8; `json` escapes them.
        return json.dumps(fields, default=str)


class JsonFormatter(logging.Formatter):
    """Time, level, logger, message, request id, and whatever the call gave as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        return _encode(log_fields(record))


class TextFormatter(logging.Formatter):
    """The same fields for a person's eyes."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the traceback if there is one."""
        fields = log_fields(record)
        head = f"{fields.pop('time')[11:23]} {fields.pop('level'):<7} {fields.pop('logger')} {fields.pop('message')}"
        trace = fields.pop("exception", None)
        return " ".join([head, *(f"{key}={value}" for key, value in fields.items())]) + (f"\n{trace}" if trace else "")


def log_fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return what a log line says."""
    fields: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage(),
    }
    if request_id := request_id_var.get():
        fields["request_id"] = request_id
    if isinstance(record, AccessRecord):
        fields.update(record.fields)
        return fields
    fields.update((key, value) for key, value in vars(record).items() if key not in _STANDARD)
    if record.exc_info:
        fields["exception"] = logging.Formatter().formatException(record.exc_info)
    return fields


class BatchingHandler(logging.StreamHandler[Any]):
    """Writes lines in their order: those of requests a few together, every other one at once.

    A process that is killed (SIGKILL) takes the lines of its last 0.1 s with it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[str] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or buffer it until others are written with it."""
        try:
            line = self.format(record) + self.terminator
            if self._size + len(line) > BATCH_BYTES:
                self.flush()
            self._lines.append(line)
            self._size += len(line)
            if not isinstance(record, AccessRecord):
                self.flush()
            elif self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(BATCH_SECONDS, self._end_batch)
        except Exception:  # noqa: BLE001 - as in every handler: what cannot be logged stops nothing
            self.handleError(record)

    def flush(self) -> None:
        """Write the buffered lines."""
        self.acquire()
        try:
            lines, self._lines, self._size = self._lines, [], 0
            if lines:
                self.stream.write("".join(lines))
            super().flush()
        finally:
            self.release()

    def _end_batch(self) -> None:
        self._timer = None
        self.flush()


def flush_logs() -> None:
    """Write the buffered log lines of this process."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def configure_logging(settings: Settings) -> None:
    """Send every log line of this process to standard error, in the configured form."""
    # Nothing that is written shows them, and each costs a system call for every line.
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
