"""What the processes tell one another: a table of counts."""

from datetime import datetime

from sqlalchemy import DateTime, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.models import Base


class RateCount(Base):
    """How many requests a caller has sent in a window. Unlogged: worth nothing after a crash."""

    __tablename__ = "rate_counts"
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)

    # First in the key, so that the same index finds the windows that are over.
    ends_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    caller: Mapped[str] = mapped_column(Text, primary_key=True)
    """The policy, and the caller's id or network address."""

    count: Mapped[int]
