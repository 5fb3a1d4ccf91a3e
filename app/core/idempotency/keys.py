"""The `Idempotency-Key` header: a request that is repeated with the same key is executed once and answered again.

This implements the IETF draft (draft-ietf-httpapi-idempotency-key-header-07) for operations that run in one
transaction. The response is stored in the transaction that makes the change, so that a failure at any moment loses both
or neither. docs/decisions/0017-idempotency-keys.md has the reasons and the costs.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from http import HTTPStatus

from fastapi import Request, Response

from app.core.database.database import (
    ConstraintError,
    database_of,
    get_database,
    repeated_if_undone,
    transaction_of,
)
from app.core.errors import AppError, InvalidRequestError
from app.core.guards import Guard
from app.core.idempotency.creation import CreatingDatabase, Creation, OtherwiseError
from app.core.idempotency.store import (
    IdempotencyKeyInUseError,
    IdempotencyKeyReusedError,
    IdempotencyStore,
    IdempotentRequest,
    TooManyIdempotencyKeysError,
)
from app.core.metrics import Counter
from app.core.request_state import state_of
from app.core.services import services_of

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"

ERRORS = (IdempotencyKeyInUseError, IdempotencyKeyReusedError, TooManyIdempotencyKeysError)
"""The errors of well-formed keys."""

_BARE = r"[!#-+\--:<-~]{1,255}"
_QUOTED = r'(?:[ !#-\[\]-~]|\\["\\]){1,255}'
_SYNTAX = re.compile(rf'({_BARE})|"({_QUOTED})"'.encode())
PATTERN = rf'^(?:{_BARE}|"{_QUOTED}")$'
"""The syntax of a key."""

_REPLAYS = Counter("taller_idempotent_replays", "Responses that were sent again for their idempotency key.")

Handler = Callable[[Request], Awaitable[Response]]


def idempotent(handle: Handler, operation: str, guards: Sequence[Guard], creation: Creation | None) -> Handler:
    """Return a handler that executes a request with a key once, and answers its repetitions from the store.

    Only successful responses are stored. A refused request stores nothing, so that its key can be used for the
    corrected request.

    `creation`: what makes a request one statement, if it can be one. If that changes nothing, the request is executed
    in a transaction with statements before and after it, which decide what is answered.
    """

    async def handler(request: Request) -> Response:
        state = state_of(request.scope)
        if not (values := state.idempotency_keys):
            return await handle(request)
        key = _key(values)
        assert state.caller is not None, "whoever may send a key is authenticated"
        idempotent_request = IdempotentRequest(state.caller.principal, operation, key, _fingerprint(request))
        store = services_of(request)[IdempotencyStore]
        has_room = await store.has_room(get_database(request), idempotent_request.principal)
        if creation is not None and has_room:
            created = await _created(handle, request, creation, idempotent_request)
            if created is not None:
                return created
        return await in_transaction(request, idempotent_request, store, has_room=has_room)

    @repeated_if_undone
    async def in_transaction(
        request: Request, idempotent_request: IdempotentRequest, store: IdempotencyStore, *, has_room: bool
    ) -> Response:
        async with transaction_of(request) as transaction:
            try:
                kept = await store.find(transaction, idempotent_request)
                if kept is None and not has_room:
                    raise TooManyIdempotencyKeysError
            except ERRORS:
                await _authorize(request, guards)
                raise
            if kept is None:
                # The handler's own statement checks the caller's permission.
                response = await handle(request)
                await store.save(transaction, idempotent_request, response)
                return response
            await _authorize(request, guards)
        kept.headers[REPLAYED] = "true"
        state_of(request.scope).is_replayed = True
        _REPLAYS.inc()
        return kept

    return handler


async def _created(handle: Handler, request: Request, creation: Creation, key: IdempotentRequest) -> Response | None:
    """Execute a request by a single statement. Return None if it changed nothing, for whatever reason."""
    store, database = services_of(request)[IdempotencyStore], get_database(request)
    creating = CreatingDatabase(database, key, creation)
    with database_of(request, creating):
        try:
            response = await handle(request)
        except (OtherwiseError, ConstraintError):
            # For example because the key has been used.
            return None
        except AppError as error:
            if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            return None
    if not creating.has_stored:
        return None
    store.count(key, len(response.body))
    return response


def without_keys(handle: Handler) -> Handler:
    """Return a handler that refuses requests with a key: a client relies on its key, and would repeat the operation."""

    async def handler(request: Request) -> Response:
        if state_of(request.scope).idempotency_keys:
            raise _refused("is not supported by this operation", "unsupported")
        return await handle(request)

    return handler


def _refused(detail: str, code: str) -> InvalidRequestError:
    return InvalidRequestError.at(detail, code, parameter=HEADER)


def _key(values: Sequence[bytes]) -> str:
    """Return the key in the header, which may be in quotes or bare."""
    if len(values) > 1:
        raise _refused("is given more than once", "repeated")
    found = _SYNTAX.fullmatch(values[0].strip(b" \t"))
    if found is None:
        raise _refused(
            "must be 1 to 255 printable ASCII characters, in quotes or without spaces, quotes, commas and semicolons",
            "malformed",
        )
    bare, quoted = found.groups()
    key: bytes = bare or re.sub(rb"\\(.)", rb"\1", quoted)
    return key.decode("ascii")


async def _authorize(request: Request, guards: Sequence[Guard]) -> None:
    """Authorise the caller before anything is revealed: the handler, which would do so, does not run."""
    for guard in guards:
        await guard.authorize(request)


def _fingerprint(request: Request) -> bytes:
    """Return a hash of parameters, preconditions and body, the same at each of the operation's four addresses."""
    digest = sha256()
    for part in (
        *(value.encode() for value in request.path_params.values()),
        request.scope["query_string"],
        *(value for name, value in request.scope["headers"] if name == b"if-match"),
        state_of(request.scope).body,
    ):
        # Each part is preceded by its length, so that different requests never hash the same bytes.
        digest.update(len(part).to_bytes(8))
        digest.update(part)
    return digest.digest()
