"""What changes who can sign in."""

from sqlalchemy.dialects.postgresql import insert

from app.auth.manager import Passwords
from app.auth.models import User
from app.core.database import Database
from app.core.ids import uuid7

SEED_USERNAME, SEED_PASSWORD = "admin", "1234"


async def create_seed_admin(database: Database, passwords: Passwords) -> bool:
    """Create the development administrator unless that name is taken; whether it was created."""
    created = await database.row(
        insert(User)
        .values(
            id=uuid7(),
            username=SEED_USERNAME,
            hashed_password=await passwords.hash(SEED_PASSWORD),
            is_active=True,
            is_superuser=True,
        )
        .on_conflict_do_nothing()
        .returning(User.id)
    )
    return created is not None
