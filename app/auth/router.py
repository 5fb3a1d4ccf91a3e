"""Signing in."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from app.auth.access import AuthenticationDep, CurrentUser
from app.auth.errors import InvalidCredentialsError
from app.auth.schemas import Credentials, Token, UserRead
from app.auth.scopes import AuthUser
from app.core.errors import BodyTooLargeError, InvalidJsonError, InvalidRequestError, UnsupportedMediaTypeError
from app.core.guards import Public
from app.core.openapi import problems
from app.core.routing import FORM, JSON, FeatureRouter

router = FeatureRouter(prefix="/auth", tag="auth")

_CREDENTIALS = {"schema": Credentials.model_json_schema()}
_OAUTH_FIELDS = {"grant_type", "scope", "client_id", "client_secret"}


async def _credentials(request: Request) -> Credentials:
    # FastAPI cannot declare a JSON and a form body on one operation.
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if content_type == FORM:
            async with request.form(max_files=0, max_fields=20) as form:
                # What the OAuth2 password flow sends besides is of no use here.
                data: Any = {name: value for name, value in form.items() if name not in _OAUTH_FIELDS}
        else:
            data = await request.json()
    except HTTPException as error:
        if error.status_code != HTTPStatus.BAD_REQUEST:
            raise
        raise InvalidRequestError("The form cannot be read, or has too many fields.") from error
    except (ValueError, RecursionError) as error:
        # Python gives up on arrays in arrays in arrays by a RecursionError.
        raise InvalidJsonError from error
    try:
        return Credentials.model_validate(data)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        raise RequestValidationError([{**item, "loc": ("body", *item["loc"])} for item in found]) from None


@router.post(
    "/login",
    summary="Sign in",
    dependencies=[Public],
    openapi_extra={"requestBody": {"required": True, "content": {JSON: _CREDENTIALS, FORM: _CREDENTIALS}}},
    responses=problems(InvalidCredentialsError, BodyTooLargeError, UnsupportedMediaTypeError),
)
async def login(credentials: Annotated[Credentials, Depends(_credentials)], authentication: AuthenticationDep) -> Token:
    """Exchange a username and a password for an access token, sent as JSON or as an OAuth2 password form.

    A wrong password and an unknown username get the same answer.
    """
    user = await authentication.manager.authenticate(credentials)
    if user is None:
        raise InvalidCredentialsError
    return Token(
        access_token=await authentication.strategy.write_token(user),
        token_type="bearer",  # noqa: S106 - the type, not a token
        expires_in=authentication.token_lifetime,
    )


@router.get("/me", summary="Who am I?", response_model=UserRead)
async def read_me(user: CurrentUser) -> AuthUser:
    """The person whose token was sent."""
    return user
