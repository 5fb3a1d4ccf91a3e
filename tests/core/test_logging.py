"""Log lines."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from datetime import datetime

import pytest

from app.core.config import Settings
from app.core.logging import (
    BATCH_BYTES,
    BatchingHandler,
    JsonFormatter,
    RequestLine,
    TextFormatter,
    configure_logging,
    log_request,
    request_id_var,
)


def record(message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    return logging.getLogger("trial").makeRecord("trial", logging.INFO, "f", 1, message, arguments, None, extra=extra)


def line_of(route: str, caller: str | None = None, **more: object) -> RequestLine:
    return (1.0625, "r-1", None, logging.INFO, "GET", route, 404, 0.0012345, caller, more)


def test_a_line_is_one_json_object_whatever_is_said() -> None:
    line = JsonFormatter().format(record('a "b"\n%s', "c\r\n", status=200, what=object))
    assert "\n" not in line
    fields = json.loads(line)
    assert fields["message"] == 'a "b"\nc\r\n'
    assert (fields["level"], fields["logger"], fields["status"]) == ("info", "trial", 200)
    assert datetime.fromisoformat(fields["time"]).tzinfo is not None


def test_line_with_unpaired_surrogate_is_written() -> None:
    line = JsonFormatter().format(record("half of a pair: \ud83d", what=object))
    assert json.loads(line)["message"] == "half of a pair: \ud83d"
    assert line.isascii()


@pytest.mark.parametrize("path", ["/tasks", "/Ärger/€", "/😀"])
async def test_lines_of_requests_are_written_in_batches_of_bytes(path: str) -> None:
    handler, written = BatchingHandler(), io.StringIO()
    handler.setFormatter(TextFormatter())
    sizes: list[int] = []
    handler.setStream(written)
    handler.stream.write = lambda text: sizes.append(len(text.encode()))
    for _ in range(200):
        handler.add(line_of(path * 10))
    handler.flush()
    assert len(sizes) > 1
    assert max(sizes) <= BATCH_BYTES
    assert min(sizes[:-1]) > BATCH_BYTES * 3 // 4, "as many lines as fit are written at once"


async def test_failure_to_write_does_not_stop_the_caller(capsys: pytest.CaptureFixture[str]) -> None:
    handler, closed = BatchingHandler(), io.StringIO()
    handler.setFormatter(JsonFormatter())
    handler.setStream(closed)
    closed.close()
    handler.handle(record("hello"))
    assert "I/O operation on closed file" in capsys.readouterr().err
    for _ in range(100):
        handler.add(line_of("/x"))
    assert "I/O operation on closed file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("route", "more"),
    [
        ("/tasks/{task_id}", {}),
        ('/"100 %"/\n', {"reason": 'no "such"\ntask', "replayed": True}),
        ("/x", {"reason": "\ud83d"}),
    ],
)
def test_the_line_of_a_request_is_one_json_object(route: str, more: dict[str, object]) -> None:
    line = JsonFormatter().request(line_of(route, "u-1", **more))
    assert "\n" not in line
    beginning = {"time": "1970-01-01T00:00:01.062+00:00", "level": "info", "logger": "taller.access"}
    common = {"message": "request", "request_id": "r-1", "method": "GET", "route": route, "status": 404}
    assert json.loads(line) == {**beginning, **common, "ms": 1.23, "caller": "u-1", **more}
    assert list(json.loads(line))[:4] == ["time", "level", "logger", "message"]


async def test_handlers_of_others_get_the_lines_of_requests_at_once() -> None:
    root, stream = logging.getLogger(), io.StringIO()
    others = logging.StreamHandler(stream), logging.StreamHandler(stream)
    others[0].setFormatter(JsonFormatter())
    others[1].setLevel(logging.ERROR)
    for handler in others:
        root.addHandler(handler)
    try:
        log_request("r-2", logging.INFO, "GET", None, 404, 0.5, None, {"code": "not_found"})
    finally:
        for handler in others:
            root.removeHandler(handler)
    (line,) = stream.getvalue().splitlines()
    assert {"request_id": "r-2", "route": None, "ms": 500.0, "code": "not_found"}.items() <= json.loads(line).items()


def test_a_line_names_the_request_that_it_belongs_to() -> None:
    token = request_id_var.set("r-1")
    try:
        assert json.loads(JsonFormatter().format(record("x")))["request_id"] == "r-1"
        assert "request_id=r-1" in TextFormatter().format(record("x"))
    finally:
        request_id_var.reset(token)
    assert "request_id" not in json.loads(JsonFormatter().format(record("x")))


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_an_exception_is_told_with_its_trace(formatter: logging.Formatter) -> None:
    one = record("failed")
    try:
        int("why")
    except ValueError:
        one.exc_info = sys.exc_info()
    line = formatter.format(one)
    assert "Traceback" in line
    assert "ValueError: invalid literal" in line


def test_text_line_has_time_level_and_fields() -> None:
    line = TextFormatter().format(record("request", method="GET", status=200))
    assert line.split(" ", 1)[1].split() == ["info", "trial", "request", "method=GET", "status=200"]


def test_the_line_of_a_request_as_text() -> None:
    line = TextFormatter().request(line_of("/tasks/", "u-1", code="not_found"))
    beginning = "00:00:01.062 info    taller.access request request_id=r-1"
    assert line == f"{beginning} method=GET route=/tasks/ status=404 ms=1.23 caller=u-1 code=not_found"


def test_a_text_line_is_one_line_whatever_a_field_holds() -> None:
    line = TextFormatter().format(record("request", reason='no "such"\ntask', code="not_found", status=404))
    assert line.endswith(r"""request reason="no \"such\"\ntask" code=not_found status=404""")


def test_a_time_has_three_digits_of_a_second() -> None:
    one = record("x")
    for created, written in ((0.0, "00.000"), (1.0625, "01.062"), (59.9999, "59.999")):
        one.created = created
        assert json.loads(JsonFormatter().format(one))["time"] == f"1970-01-01T00:00:{written}+00:00"


@pytest.fixture
def _logging_restored() -> Iterator[None]:
    root, alembic, access = logging.getLogger(), logging.getLogger("alembic"), logging.getLogger("uvicorn.access")
    before = root.handlers[:], root.level, alembic.level, access.disabled
    yield
    root.handlers[:], root.level, alembic.level, access.disabled = before


@pytest.mark.usefixtures("_logging_restored")
@pytest.mark.parametrize(("form", "formatter"), [("json", JsonFormatter), ("text", TextFormatter)])
def test_all_loggers_use_the_configured_format(
    settings: Settings, form: str, formatter: type[logging.Formatter]
) -> None:
    configure_logging(settings.model_copy(update={"log_format": form, "log_level": "warning"}))
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler.formatter, formatter)
    assert logging.getLogger().level == logging.WARNING
    assert logging.getLogger("uvicorn.error").handlers == []
    assert logging.getLogger("uvicorn.access").disabled
