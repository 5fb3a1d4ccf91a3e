"""People."""

from datetime import UTC, datetime, timedelta

from polyfactory import Use

from app.auth.models import AccessChange, ApiKey, Attempt, Session, User
from app.auth.scopes import KEY_SCOPES
from tests.support.factories import RowFactory


class UserFactory(RowFactory[User]):
    """A person who is active, is no administrator, and cannot sign in by password unless the test sets one."""

    __model__ = User
    username = Use(lambda: f"user-{UserFactory.__faker__.unique.random_int(10**6, 10**7)}")
    email = None
    hashed_password = "none"
    is_active = True
    is_superuser = False
    password_state = "chosen"
    password_expires_at = None


class SessionFactory(RowFactory[Session]):
    """A session that lives for an hour; give it a `user_id`."""

    __model__ = Session
    generation = 0
    refresh_hash = Use(lambda: SessionFactory.__random__.randbytes(32))
    user_agent = None
    address = None
    created_at = Use(lambda: datetime.now(UTC))
    refreshed_at = Use(lambda: datetime.now(UTC))
    expires_at = Use(lambda: datetime.now(UTC) + timedelta(hours=1))
    revoked_at = None


class ApiKeyFactory(RowFactory[ApiKey]):
    """A key with every scope and no end; give it a `user_id` and a `secret_hash`."""

    __model__ = ApiKey
    name = "key"
    prefix = "tlr_test"
    scopes = Use(lambda: list(KEY_SCOPES))
    project_id = None
    expires_at = None
    last_used_at = None
    revoked_at = None


class AttemptFactory(RowFactory[Attempt]):
    """A count of attempts."""

    __model__ = Attempt
    resets_at = Use(lambda: datetime.now(UTC) + timedelta(minutes=5))


class AccessChangeFactory(RowFactory[AccessChange]):
    """A change of rights, as the triggers record them."""

    __model__ = AccessChange
