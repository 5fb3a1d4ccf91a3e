"""From where the numbers of states go on (`app.core.database.models.Versioned`), so that no tag ever names two of them.

A restored backup would give out numbers again that were given out after it was made. So the trigger that numbers states
goes on from `version_base()` wherever that is higher, and whoever restores a backup raises it.
"""

from sqlalchemy import text

from app.core.database.database import Transaction

_RENEWED = text(
    "SELECT greatest(version_base() + 1, extract(epoch FROM now() - timestamptz '2026-01-01 00:00Z')::integer) AS base"
)


async def renew(transaction: Transaction) -> int:
    """Raise the base above every number that was given out before, and return it: the seconds since 2026 began.

    A row would have to change more than once a second, since then or since it was renewed before, to be above it.
    """
    (row,) = await transaction.fetch_all(_RENEWED)
    base: int = row["base"]
    # A function takes no parameters in its text; this is a number.
    await transaction.command(
        f"CREATE OR REPLACE FUNCTION version_base() RETURNS integer LANGUAGE sql STABLE AS 'SELECT {base}'"
    )
    return base
