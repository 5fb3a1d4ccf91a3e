"""The tables of who is calling."""

from sqlalchemy import CheckConstraint, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.models import Base, Identified, Timestamped


class User(Identified, Timestamped, Base):
    """A person who can sign in. Usernames and e-mail addresses are unique without regard to case."""

    __tablename__ = "users"

    username: Mapped[str] = mapped_column(Text)
    email: Mapped[str | None] = mapped_column(Text)
    hashed_password: Mapped[str] = mapped_column(Text)
    """Argon2id, with its parameters."""

    is_active: Mapped[bool] = mapped_column(default=True, server_default=text("true"))
    is_superuser: Mapped[bool] = mapped_column(default=False, server_default=text("false"))

    __table_args__ = (
        CheckConstraint("char_length(username) BETWEEN 1 AND 32", name="username_length"),
        CheckConstraint("char_length(email) BETWEEN 3 AND 320", name="email_length"),
        Index("users_username_lower_key", text("lower(username)"), unique=True),
        Index("users_email_lower_key", text("lower(email)"), unique=True),
    )
