"""`/`, `/health`, `/docs`, `/openapi.json` and `/problems/{code}`: without the API's prefix, and for everybody."""

from typing import Annotated

from fastapi import Depends, Path, Request, Response
from fastapi.responses import RedirectResponse

from app.core.database.database import DatabaseDep
from app.core.database.migrations import schema_state
from app.core.drain import Drain
from app.core.errors import AppError, BodyTooLargeError, NotFoundError, ReadOnlyError, UnavailableError
from app.core.guards import UNLIMITED, Public, PublicGuard
from app.core.http.routing import FeatureRouter
from app.core.services import services_of
from app.system.documentation import ASSETS, Documentation
from app.system.errors import DrainingError, ProblemKindNotFoundError, SchemaBehindError
from app.system.guides import INDEX
from app.system.schemas import Live, ProblemKind, Ready

health = FeatureRouter(api_prefix="", prefix="/health", tag="health", dependencies=[Depends(PublicGuard(UNLIMITED))])
documentation = FeatureRouter(api_prefix="", tag="documentation", dependencies=[Public])


@health.get("/live", summary="Is the process alive?")
async def read_liveness() -> Live:
    """Answers 200 as long as the process runs. Restart it when this fails."""
    return Live(status="ok")


@health.get(
    "/ready",
    summary="Can it serve?",
    errors=(UnavailableError, ReadOnlyError, SchemaBehindError, DrainingError),
)
async def read_readiness(request: Request, database: DatabaseDep) -> Ready:
    """Answers 200 when the database answers, can be written to and has the schema that this version needs, else 503;
    503 also from SIGTERM on. Send no traffic while this fails.
    """
    if services_of(request)[Drain].is_active:
        raise DrainingError
    schema = await schema_state(database)
    if not schema.is_writable and await database.pool.renewed():
        # The connection led to what is a standby now. From here on, none does.
        schema = await schema_state(database)
    if schema.state == "behind":
        raise SchemaBehindError
    if not schema.is_writable:
        raise ReadOnlyError
    return Ready(status="ok", schema_state=schema.state)


@documentation.get(
    "/problems/{code}",
    summary="What does this problem mean?",
    errors=(ProblemKindNotFoundError,),
)
async def read_problem_kind(
    code: Annotated[str, Path(description="The `code` of a problem.", examples=[BodyTooLargeError.code])],
) -> ProblemKind:
    """Explain what a problem's `code` means and what to do about it. Every problem's `type` leads here."""
    kind = AppError.catalogue.get(code)
    if kind is None:
        raise ProblemKindNotFoundError
    return ProblemKind(code=kind.code, title=kind.title, status=kind.status, description=kind.help)


@documentation.get("/", include_in_schema=False)
async def read_root(request: Request) -> Response:
    """Lead browsers to the documentation. Programs learn where it is."""
    if "text/html" not in request.headers.get("accept", ""):
        raise NotFoundError("There is nothing here: the API is under /api/v1, its documentation at /docs.")
    return RedirectResponse("/docs", headers={"Vary": "Accept"})


@documentation.get("/problems", include_in_schema=False)
async def list_problem_kinds() -> Response:
    """Lead to the guide that explains all of them."""
    return RedirectResponse("/docs/guides/errors")


@documentation.get("/docs", include_in_schema=False)
async def read_docs(request: Request) -> Response:
    """Return the documentation as a page on which every operation can be tried."""
    return await services_of(request)[Documentation].page.respond(request)


@documentation.get("/docs/guides", include_in_schema=False)
async def list_guides(request: Request) -> Response:
    """Return the page that lists the guides."""
    return await services_of(request)[Documentation].guides[INDEX].respond(request)


@documentation.get("/docs/guides/{guide}", include_in_schema=False)
async def read_guide(guide: str, request: Request) -> Response:
    """Return a guide as a page."""
    guides = services_of(request)[Documentation].guides
    if guide not in guides:
        raise NotFoundError
    return await guides[guide].respond(request)


@documentation.get("/docs/{asset}", include_in_schema=False)
async def read_docs_asset(asset: str, request: Request) -> Response:
    """Return a file that the page needs."""
    if asset not in ASSETS:
        raise NotFoundError
    return await ASSETS[asset].respond(request)


@documentation.get("/openapi.json", include_in_schema=False)
async def read_openapi(request: Request) -> Response:
    """Return the OpenAPI document."""
    return await services_of(request)[Documentation].document.respond(request)
