"""The table in which processes exchange their counts."""

from datetime import datetime

from sqlalchemy import DateTime, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.models import Base


class RateCount(Base):
    """The number of a caller's requests in a window. Unlogged, because it is not needed after a crash."""

    __tablename__ = "rate_counts"
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)

    # First in the primary key, so that its index finds the windows that are over.
    ends_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    caller: Mapped[str] = mapped_column(Text, primary_key=True)
    """The policy, and the caller's id or network address."""

    count: Mapped[int]
