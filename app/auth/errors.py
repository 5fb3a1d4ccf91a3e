"""How signing in can fail."""

from app.core.errors import NotAuthenticatedError


class InvalidCredentialsError(NotAuthenticatedError):
    """The username or the password is wrong, or the account is not active."""

    code = "invalid_credentials"
    title = "Wrong username or password"


class InvalidTokenError(NotAuthenticatedError):
    """The access token is malformed, was not signed by this service, or has expired: sign in again."""

    code = "invalid_token"
    title = "The token is not valid"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail)
        self.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
