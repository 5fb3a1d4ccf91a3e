"""How the service itself refuses."""

from app.core.errors import NotFoundError, UnavailableError


class SchemaBehindError(UnavailableError):
    """The database lacks migrations that this version needs: run `taller migrate`."""

    code = "schema_behind"
    title = "Database schema outdated"


class DrainingError(UnavailableError):
    """This process is about to stop: send requests to another one."""

    code = "draining"
    title = "About to stop"


class ProblemKindNotFoundError(NotFoundError):
    """There is no problem type with this code."""

    code = "problem_kind_not_found"
    title = "Problem type not found"
