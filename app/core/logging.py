"""Structured logs: one JSON object per line on standard error."""

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from app.core.config import Settings

request_id_var: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The request that the running code serves."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


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
        return _encode(fields_of(record))


class TextFormatter(logging.Formatter):
    """The same fields for a person's eyes."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the traceback if there is one."""
        fields = fields_of(record)
        head = f"{fields.pop('time')[11:23]} {fields.pop('level'):<7} {fields.pop('logger')} {fields.pop('message')}"
        trace = fields.pop("exception", None)
        return " ".join([head, *(f"{key}={value}" for key, value in fields.items())]) + (f"\n{trace}" if trace else "")


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What a log line says."""
    fields: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage(),
    }
    if request_id := request_id_var.get():
        fields["request_id"] = request_id
    fields.update((key, value) for key, value in vars(record).items() if key not in _STANDARD)
    if record.exc_info:
        fields["exception"] = logging.Formatter().formatException(record.exc_info)
    return fields


# Nothing that is written shows them, and each costs a system call for every line.
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def configure_logging(settings: Settings) -> None:
    """Send every log line of this process to standard error, in the configured form."""
    handler = logging.StreamHandler()
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
