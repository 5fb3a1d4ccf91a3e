"""`/health`, `/docs`, `/openapi.json` and `/problems/{code}`: without the API's prefix, and for everybody."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from app.core.database.database import DatabaseDep
from app.core.database.migrations import schema_state
from app.core.errors import AppError, BodyTooLargeError, NotFoundError, ReadOnlyError, UnavailableError
from app.core.guards import Probe, Public
from app.core.http.openapi import problems
from app.core.http.routing import Operation
from app.core.http.static_content import StaticContent
from app.system.documentation import ASSETS
from app.system.errors import ProblemKindNotFoundError, SchemaBehindError
from app.system.schemas import Live, ProblemKind, Ready

router = APIRouter(route_class=Operation, generate_unique_id_function=lambda route: route.name)

_HEALTH: dict[str, Any] = {"tags": ["health"], "dependencies": [Probe]}
_DOCUMENTATION: dict[str, Any] = {"tags": ["documentation"], "dependencies": [Public]}


@router.get("/health/live", **_HEALTH, summary="Is the process alive?")
async def read_liveness() -> Live:
    """Answers 200 as long as the process runs. Restart it when this fails."""
    return Live(status="ok")


@router.get(
    "/health/ready",
    **_HEALTH,
    summary="Can it serve?",
    responses=problems(UnavailableError, ReadOnlyError, SchemaBehindError),
)
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


@router.get(
    "/problems/{code}",
    summary="What does this problem mean?",
    **_DOCUMENTATION,
    responses=problems(ProblemKindNotFoundError),
)
async def read_problem_kind(
    code: Annotated[str, Path(description="The `code` of a problem.", examples=[BodyTooLargeError.code])],
) -> ProblemKind:
    """What a problem's `code` means and what to do about it. Every problem's `type` leads here."""
    kind = AppError.catalogue.get(code)
    if kind is None:
        raise ProblemKindNotFoundError
    return ProblemKind(code=kind.code, title=kind.title, status=kind.status, description=kind.help)


@router.get("/docs", include_in_schema=False, **_DOCUMENTATION)
async def read_docs(request: Request) -> Response:
    """The documentation as a page on which every operation can be tried."""
    page: StaticContent = request.app.state.docs_page
    return await page.respond(request)


@router.get("/docs/{asset}", include_in_schema=False, **_DOCUMENTATION)
async def read_docs_asset(asset: str, request: Request) -> Response:
    """A file that the page needs."""
    if asset not in ASSETS:
        raise NotFoundError
    return await ASSETS[asset].respond(request)


@router.get("/openapi.json", include_in_schema=False, **_DOCUMENTATION)
async def read_openapi(request: Request) -> Response:
    """The OpenAPI document."""
    document: StaticContent = request.app.state.openapi_document
    return await document.respond(request)
