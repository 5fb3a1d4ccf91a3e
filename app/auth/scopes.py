"""The person for whom a request is served."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(slots=True)
class AuthUser:
    """A person as fastapi-users sees one. A plain object: an ORM class does not satisfy the library's protocol."""

    id: UUID
    username: str
    email: str
    """Empty for most; the library's protocol does not allow None, our schemas do."""

    hashed_password: str
    is_active: bool
    is_superuser: bool
    created_at: datetime
    is_verified: bool = True
