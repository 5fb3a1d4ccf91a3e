"""The tables of authentication: users, sessions, API keys, counted attempts and access changes."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, ForeignKey, Identity, Index, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.models import Base, Identified, Timestamped

Moment = DateTime(timezone=True)


CHOSEN, ONE_TIME, SPENT = "chosen", "one_time", "spent"
"""The states of a password: chosen by its owner; set by an administrator for one sign-in; used for that sign-in."""


def username_key(username: str) -> str:
    """Return the form in which usernames are compared: without surrounding blanks, which keyboards add, and in lower
    case.
    """
    return username.strip().lower()


class User(Identified, Timestamped, Base):
    """A person who can sign in. Usernames and e-mail addresses are unique without regard to case."""

    __tablename__ = "users"

    username: Mapped[str] = mapped_column(Text)
    email: Mapped[str | None] = mapped_column(Text)
    hashed_password: Mapped[str] = mapped_column(Text)
    """Argon2id, with its parameters."""

    password_state: Mapped[str] = mapped_column(Text, server_default=text("'chosen'"))
    """`CHOSEN`, `ONE_TIME` or `SPENT`."""

    password_expires_at: Mapped[datetime | None] = mapped_column(Moment)
    """When a one-time password, and the session that it began, expires; null for a chosen password."""

    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    is_superuser: Mapped[bool] = mapped_column(server_default=text("false"))

    __table_args__ = (
        CheckConstraint("char_length(username) BETWEEN 1 AND 32", name="username_length"),
        CheckConstraint("char_length(email) BETWEEN 3 AND 320", name="email_length"),
        CheckConstraint("password_state IN ('chosen', 'one_time', 'spent')", name="password_state"),
        Index("users_username_key", text('lower(username COLLATE "C")'), unique=True),
        Index("users_email_key", text('lower(email COLLATE "C")'), unique=True),
        # From before revision 0016, when the server's locale decided what lower case is. The next release drops them.
        Index("users_username_lower_key", text("lower(username)"), unique=True),
        Index("users_email_lower_key", text("lower(email)"), unique=True),
    )


class Session(Identified, Base):
    """One sign-in: a family of refresh tokens, of which only the newest is valid."""

    __tablename__ = "sessions"

    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"))
    refresh_hash: Mapped[bytes]
    """SHA-256 of the valid refresh token."""

    generation: Mapped[int] = mapped_column(server_default=text("0"))
    """How often the session was refreshed."""

    user_agent: Mapped[str | None] = mapped_column(Text)
    address: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    refreshed_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(Moment)
    revoked_at: Mapped[datetime | None] = mapped_column(Moment)

    __table_args__ = (
        Index("sessions_user_id_idx", "user_id", text("id DESC")),
        Index("sessions_expires_at_idx", "expires_at"),
    )


class ApiKey(Identified, Base):
    """A secret with which a program acts for a user, within the scopes of the key."""

    __tablename__ = "api_keys"

    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    prefix: Mapped[str] = mapped_column(Text)
    """The first characters of the secret, to recognise it."""

    secret_hash: Mapped[bytes] = mapped_column(unique=True)
    """SHA-256: the secret is random enough to need no slow hash."""

    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    """The only project that it can access. Named by its table, because this feature must not import the model."""

    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    expires_at: Mapped[datetime | None] = mapped_column(Moment)
    last_used_at: Mapped[datetime | None] = mapped_column(Moment)
    revoked_at: Mapped[datetime | None] = mapped_column(Moment)

    __table_args__ = (
        CheckConstraint("char_length(name) BETWEEN 1 AND 100", name="name_length"),
        Index("api_keys_user_id_idx", "user_id", text("id DESC")),
        Index("api_keys_project_id_idx", "project_id", postgresql_where=text("project_id IS NOT NULL")),
    )


class Attempt(Base):
    """A count of attempts to guess a secret or to register, for one account and address or for one address."""

    __tablename__ = "attempts"

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    count: Mapped[int]
    resets_at: Mapped[datetime] = mapped_column(Moment)

    __table_args__ = (Index("attempts_resets_at_idx", "resets_at"),)


class AccessChange(Base):
    """A session, API key or user that lost or gained rights. Written by triggers, read by every worker."""

    __tablename__ = "access_changes"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    subject: Mapped[UUID]
    """Whose rights changed; `EVERYBODY` if it is not known whose."""

    transaction_id: Mapped[int] = mapped_column(BigInteger, server_default=text("pg_current_xact_id()::text::bigint"))
    """The transaction that made the change; all of its rows become visible when it commits."""

    changed_at: Mapped[datetime] = mapped_column(Moment, server_default=func.clock_timestamp())

    __table_args__ = (Index("access_changes_transaction_id_idx", "transaction_id"),)


EVERYBODY = UUID(int=0)
"""The subject of a change that may affect everybody."""
