"""How the service itself refuses."""

from app.core.errors import NotFoundError, UnavailableError


class SchemaBehindError(UnavailableError):
    """The database lacks migrations that this version needs: run `taller migrate`."""

    code = "schema_behind"
    title = "Database schema outdated"


class ProblemKindNotFoundError(NotFoundError):
    """There is no problem type with this code."""

    code = "problem_kind_not_found"
    title = "Problem type not found"
