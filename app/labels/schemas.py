"""Request and response schemas of labels."""

import re
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from app.core.schemas import (
    CreatedAt,
    ETag,
    Id,
    PatchModel,
    RequestModel,
    ResponseModel,
    UpdatedAt,
    Uuid,
    unset,
    with_example,
)
from app.core.text import Line
from app.labels.models import DEFAULT_COLOR, MAX_NAME_LENGTH

_COLOR = re.compile("#[0-9a-f]{6}")


def _color(value: str) -> str:
    if not _COLOR.fullmatch(value):
        raise PydanticCustomError("color", "must be a color in the form #rrggbb, in lower case")
    return value


Name = Annotated[
    str,
    Line(MAX_NAME_LENGTH),
    Field(description="What it is called. No other label of the project has this name, in whatever letter case."),
]
Color = Annotated[
    str,
    Field(description="Red, green and blue, each in two digits.", json_schema_extra={"pattern": f"^{_COLOR.pattern}$"}),
    AfterValidator(_color),
]


class LabelCreate(RequestModel):
    """A new label."""

    model_config = ConfigDict(json_schema_extra=with_example({"name": "bug", "color": "#d73a4a"}))

    name: Name
    color: Color = DEFAULT_COLOR


class LabelUpdate(PatchModel):
    """Changes to a label: omitted members stay unchanged."""

    model_config = ConfigDict(json_schema_extra=with_example({"color": "#0075ca"}))

    name: Name = Field(default_factory=unset)
    color: Color = Field(default_factory=unset)


class LabelRead(ResponseModel):
    """A label."""

    model_config = ConfigDict(
        json_schema_extra=with_example(
            {
                "id": "01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a13",
                "project_id": "01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a11",
                "name": "bug",
                "color": "#d73a4a",
                "created_at": "2026-11-22T09:00:00.000000Z",
                "updated_at": "2026-11-22T09:00:00.000000Z",
                "etag": '"l1"',
            }
        )
    )

    id: Id
    project_id: Uuid = Field(description="The project that it belongs to.")
    name: str
    color: str
    created_at: CreatedAt
    updated_at: UpdatedAt
    etag: ETag
