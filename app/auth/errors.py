"""How signing in, and what it leads to, can fail."""

from app.core.errors import ConflictError, ForbiddenError, NotAuthenticatedError, NotFoundError, TooManyRequestsError


class InvalidCredentialsError(NotAuthenticatedError):
    """The username or the password is wrong, or the account is not active."""

    code = "invalid_credentials"
    title = "Wrong username or password"


class InvalidTokenError(NotAuthenticatedError):
    """The access token is malformed, was not issued by this service, has expired or was revoked: refresh or sign in."""

    code = "invalid_token"
    title = "The token is not valid"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail)
        self.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'


class InvalidRefreshTokenError(InvalidTokenError):
    """The refresh token is malformed, has expired, or its session has ended: sign in again."""

    code = "invalid_refresh_token"
    title = "The refresh token is not valid"


class RefreshTokenReusedError(InvalidTokenError):
    """This refresh token was used before, so it may have been stolen: its session has been ended. Sign in again."""

    code = "refresh_token_reused"
    title = "The refresh token was used before"


class InvalidApiKeyError(InvalidTokenError):
    """This is not an API key of this service."""

    code = "invalid_api_key"
    title = "The API key is not valid"


class ApiKeyExpiredError(InvalidTokenError):
    """This API key has expired: create a new one."""

    code = "api_key_expired"
    title = "The API key has expired"


class ApiKeyRevokedError(InvalidTokenError):
    """This API key was revoked: create a new one."""

    code = "api_key_revoked"
    title = "The API key was revoked"


class InsufficientScopeError(ForbiddenError):
    """The API key lacks the scope that this operation needs; create one that has it."""

    code = "insufficient_scope"
    title = "The API key lacks a scope"

    def __init__(self, scope: str = "tasks:write") -> None:
        super().__init__(
            f"This operation needs the scope {scope}, which the API key does not have.",
            headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},
        )


class SessionRequiredError(ForbiddenError):
    """An API key cannot do this: sign in by username and password."""

    code = "session_required"
    title = "Sign in by password for this"


class KeyBoundToProjectError(ForbiddenError):
    """This API key reaches one project only: it neither creates others nor looks people up."""

    code = "key_bound_to_project"
    title = "The API key reaches one project only"


class PasswordChangeRequiredError(ForbiddenError):
    """You signed in by a one-time password: choose another one by `PATCH /auth/me` first."""

    code = "password_change_required"
    title = "Choose a password first"


class AdminRequiredError(ForbiddenError):
    """Only administrators may do this."""

    code = "admin_required"
    title = "Administrators only"


class WrongPasswordError(ForbiddenError):
    """The current password is wrong; nothing was changed."""

    code = "wrong_password"
    title = "Wrong password"


class RegistrationClosedError(ForbiddenError):
    """This service does not let people register themselves: ask an administrator for an account."""

    code = "registration_closed"
    title = "Registration is closed"


class TooManyAttemptsError(TooManyRequestsError):
    """There were too many attempts from this network address: try again after `Retry-After` seconds."""

    code = "too_many_attempts"
    title = "Too many attempts"

    def __init__(self, retry_after: int = 60) -> None:
        super().__init__(
            retry_after, f"There were too many attempts from this network address: try again in {retry_after} seconds."
        )


class UsernameTakenError(ConflictError):
    """Somebody has this username already, perhaps in other letter case: choose another."""

    code = "username_taken"
    title = "The username is taken"


class EmailTakenError(ConflictError):
    """Somebody has this e-mail address already."""

    code = "email_taken"
    title = "The e-mail address is taken"


class LastAdminError(ConflictError):
    """This is the last active administrator: make somebody else one first."""

    code = "last_admin"
    title = "The last administrator"


class OnlyOwnerError(ConflictError):
    """You are the only owner who may sign in of a project that has other members: make one of them an owner, or delete
    the project.
    """

    code = "only_owner"
    title = "The only owner of a shared project"


class TooManyApiKeysError(ConflictError):
    """You have as many API keys as you may: revoke one first."""

    code = "too_many_api_keys"
    title = "Too many API keys"


class UserNotFoundError(NotFoundError):
    """There is no such person."""

    code = "user_not_found"
    title = "User not found"


class SessionNotFoundError(NotFoundError):
    """You have no such session, or it has ended."""

    code = "session_not_found"
    title = "Session not found"


class ApiKeyNotFoundError(NotFoundError):
    """You have no such API key, or it was revoked."""

    code = "api_key_not_found"
    title = "API key not found"
