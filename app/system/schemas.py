"""What the service says of itself."""

from typing import Literal

from pydantic import ConfigDict

from app.core.errors import BodyTooLargeError
from app.core.schemas import ResponseModel, with_example


class Live(ResponseModel):
    """The process answers."""

    model_config = ConfigDict(json_schema_extra=with_example({"status": "ok"}))

    status: Literal["ok"]


class Ready(ResponseModel):
    """The process can do its work."""

    model_config = ConfigDict(json_schema_extra=with_example({"status": "ok", "schema_state": "current"}))

    status: Literal["ok"]
    schema_state: Literal["current", "ahead"]
    """`ahead` while a newer release is being rolled out: its migrations keep what this one needs."""


class ProblemKind(ResponseModel):
    """What a problem's code means."""

    model_config = ConfigDict(
        json_schema_extra=with_example(
            {"code": BodyTooLargeError.code, "title": BodyTooLargeError.title, "status": BodyTooLargeError.status}
            | {"description": BodyTooLargeError.help}
        )
    )

    code: str
    title: str
    status: int
    description: str
