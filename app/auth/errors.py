"""The errors of authentication, accounts, sessions and API keys."""

from app.core.errors import AppError, ConflictError, ForbiddenError, NotFoundError, TooManyRequestsError


class NotAuthenticatedError(AppError):
    """Send an access token from `POST /api/v1/auth/login` as `Authorization: Bearer …`, or an API key as
    `X-API-Key: …`.
    """

    status = 401
    code = "not_authenticated"
    title = "Not authenticated"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"})


class InvalidCredentialsError(NotAuthenticatedError):
    """The username or the password is wrong, or the account is not active."""

    code = "invalid_credentials"
    title = "Wrong username or password"


class InvalidTokenError(NotAuthenticatedError):
    """The access token is malformed, expired, revoked or not issued by this service: refresh it or sign in again."""

    code = "invalid_token"
    title = "Invalid token"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail)
        self.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'


class InvalidRefreshTokenError(InvalidTokenError):
    """The refresh token is malformed or expired, or its session has ended: sign in again."""

    code = "invalid_refresh_token"
    title = "Invalid refresh token"


class RefreshTokenReusedError(InvalidTokenError):
    """This refresh token was already used and may have been stolen, so its session was ended: sign in again."""

    code = "refresh_token_reused"
    title = "Refresh token already used"


class InvalidApiKeyError(InvalidTokenError):
    """The API key is malformed or unknown: check it, or create a new one."""

    code = "invalid_api_key"
    title = "Invalid API key"


class ApiKeyExpiredError(InvalidTokenError):
    """The API key has expired: create a new one."""

    code = "api_key_expired"
    title = "API key expired"


class ApiKeyRevokedError(InvalidTokenError):
    """The API key was revoked: create a new one."""

    code = "api_key_revoked"
    title = "API key revoked"


class InsufficientScopeError(ForbiddenError):
    """The API key lacks the scope that this operation requires: create a key that has it."""

    code = "insufficient_scope"
    title = "Insufficient scope"

    def __init__(self, scope: str = "tasks:write") -> None:
        super().__init__(
            f"This operation requires the scope {scope}, which the API key lacks: create a key that has it.",
            headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},
        )


class SessionRequiredError(ForbiddenError):
    """API keys are not accepted here: sign in with username and password."""

    code = "session_required"
    title = "Session required"


class KeyBoundToProjectError(ForbiddenError):
    """This API key is bound to one project: it can neither create projects nor look up users."""

    code = "key_bound_to_project"
    title = "API key bound to a project"


class PasswordChangeRequiredError(ForbiddenError):
    """You signed in with a one-time password: set a new one with `PATCH /auth/me` first."""

    code = "password_change_required"
    title = "Password change required"


class AdminRequiredError(ForbiddenError):
    """Only administrators may do this."""

    code = "admin_required"
    title = "Administrator required"


class WrongPasswordError(ForbiddenError):
    """The current password is wrong. Nothing was changed."""

    code = "wrong_password"
    title = "Wrong password"


class RegistrationClosedError(ForbiddenError):
    """This service does not accept registrations: ask an administrator for an account."""

    code = "registration_closed"
    title = "Registration closed"


class TooManyAttemptsError(TooManyRequestsError):
    """There were too many attempts from your network address: try again after `Retry-After` seconds."""

    code = "too_many_attempts"
    title = "Too many attempts"

    def __init__(self, retry_after: int = 60) -> None:
        super().__init__(
            retry_after, f"There were too many attempts from your network address: try again in {retry_after} seconds."
        )


class UsernameTakenError(ConflictError):
    """This username is taken (letter case does not count): choose another one."""

    code = "username_taken"
    title = "Username taken"


class EmailTakenError(ConflictError):
    """This e-mail address belongs to another account: use another one."""

    code = "email_taken"
    title = "E-mail address taken"


class LastAdminError(ConflictError):
    """This is the last active administrator: make another user an administrator first."""

    code = "last_admin"
    title = "Last administrator"


class OnlyOwnerError(ConflictError):
    """You are the only active owner of a project that has other members: make one of them an owner, or delete the
    project.
    """

    code = "only_owner"
    title = "Only owner of a shared project"


class TooManyApiKeysError(ConflictError):
    """You have reached your limit of API keys: revoke one first."""

    code = "too_many_api_keys"
    title = "Too many API keys"


class UserNotFoundError(NotFoundError):
    """The user does not exist."""

    code = "user_not_found"
    title = "User not found"


class SessionNotFoundError(NotFoundError):
    """You have no session with this id, or it has ended."""

    code = "session_not_found"
    title = "Session not found"


class ApiKeyNotFoundError(NotFoundError):
    """You have no API key with this id, or it was revoked."""

    code = "api_key_not_found"
    title = "API key not found"
