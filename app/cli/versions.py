"""The base of version numbers (`app.core.database.models.Versioned`), so that no entity tag names two states.

After a backup is restored, rows would get version numbers again that they had after the backup was made. So the trigger
continues from `version_base()` if that is higher, and restoring a backup includes raising it.
"""

from sqlalchemy import text

from app.core.database.database import Transaction

_RENEWED = text(
    "SELECT greatest(version_base() + 1, extract(epoch FROM now() - timestamptz '2026-01-01 00:00Z')::integer) AS base"
)


async def renew(transaction: Transaction) -> int:
    """Raise the base above every version number in use, and return it: the seconds since 2026 began.

    A version could only be higher if its row had changed more than once a second, since then or since the last raise.
    """
    (row,) = await transaction.fetch_all(_RENEWED)
    base: int = row["base"]
    # DDL takes no bind parameters; `base` is an integer.
    await transaction.command(
        f"CREATE OR REPLACE FUNCTION version_base() RETURNS integer LANGUAGE sql STABLE AS 'SELECT {base}'"
    )
    return base
