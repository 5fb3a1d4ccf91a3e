"""How the service itself refuses."""

from app.core.errors import NotFoundError, UnavailableError


class SchemaBehindError(UnavailableError):
    """The database lacks migrations that this version needs: run `taller migrate`."""

    code = "schema_behind"
    title = "The database schema is behind"


class ProblemKindNotFoundError(NotFoundError):
    """No problem has this code."""

    code = "problem_kind_not_found"
    title = "No such kind of problem"
