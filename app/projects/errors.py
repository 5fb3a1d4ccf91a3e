"""The errors of projects and their members."""

from collections.abc import Sequence

from app.core.errors import AppError, ConflictError, FieldError, ForbiddenError, NotFoundError


class ProjectNotFoundError(NotFoundError):
    """The project does not exist or is not visible to you."""

    code = "project_not_found"
    title = "Project not found"


class MemberNotFoundError(NotFoundError):
    """This user is not a member of the project."""

    code = "member_not_found"
    title = "Member not found"


class RoleRequiredError(ForbiddenError):
    """Your role in this project does not allow this: ask one of its owners for a higher one."""

    code = "role_required"
    title = "Higher role required"

    def __init__(self, role: str = "editor", *, but_own: bool = False, errors: Sequence[FieldError] = ()) -> None:
        """`but_own`: whether a lower role suffices for the caller's own."""
        own = " unless it is your own" if but_own else ""
        super().__init__(
            f"This requires the role {role} in the project{own}: ask one of its owners for it.", errors=errors
        )


class ProjectArchivedError(ConflictError):
    """The project is archived, so that nothing in it can be changed: ask one of its owners to set `is_archived` to
    false.
    """

    code = "project_archived"
    title = "Project archived"
    constraint = "project_archived"


class LastOwnerError(ConflictError):
    """This is the project's last active owner: make another member an owner first."""

    code = "last_owner"
    title = "Last owner"


class TooManyMembersError(ConflictError):
    """The project has reached its limit of members: remove one first."""

    code = "too_many_members"
    title = "Too many members"


class PreconditionRequiredError(AppError):
    """This project requires `If-Match` for every change (`require_if_match`): send the tag of the state that you read,
    or `*` for any state.
    """

    status = 428
    code = "precondition_required"
    title = "Precondition required"
