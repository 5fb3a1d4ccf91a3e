"""Whether this process lives, and whether it can do its work."""

from typing import Literal

from fastapi import APIRouter
from pydantic import ConfigDict

from app.core.database import DatabaseDep
from app.core.errors import ReadOnlyError, UnavailableError
from app.core.guards import Probe
from app.core.migrations import schema_state
from app.core.openapi import problems
from app.core.routing import Operation
from app.core.schemas import Schema, with_example


class SchemaBehindError(UnavailableError):
    """The database lacks migrations that this version needs: run `taller migrate`."""

    code = "schema_behind"
    title = "The database schema is behind"


class Live(Schema):
    """The process answers."""

    model_config = ConfigDict(json_schema_extra=with_example({"status": "ok"}))

    status: Literal["ok"]


class Ready(Schema):
    """The process can do its work."""

    model_config = ConfigDict(json_schema_extra=with_example({"status": "ok", "schema_state": "current"}))

    status: Literal["ok"]
    schema_state: Literal["current", "ahead"]
    """`ahead` while a newer release is being rolled out: its migrations keep what this one needs."""


router = APIRouter(
    prefix="/health",
    tags=["health"],
    dependencies=[Probe],
    route_class=Operation,
    generate_unique_id_function=lambda route: route.name,
)


@router.get("/live", summary="Is the process alive?")
async def read_liveness() -> Live:
    """Answers 200 as long as the process runs. Restart it when this fails."""
    return Live(status="ok")


@router.get("/ready", summary="Can it serve?", responses=problems(UnavailableError, ReadOnlyError, SchemaBehindError))
async def read_readiness(database: DatabaseDep) -> Ready:
    """Answers 200 when the database answers, can be written to and has the schema that this version needs, else 503.
    Send no traffic while this fails.
    """
    state, is_writable = await schema_state(database)
    if not is_writable and await database.statements.renewed():
        # The connection led to what is a standby now. From here on, none does.
        state, is_writable = await schema_state(database)
    if state == "behind":
        raise SchemaBehindError
    if not is_writable:
        raise ReadOnlyError
    return Ready(status="ok", schema_state="ahead" if state == "ahead" else "current")
