"""How asking for a project, or for its people, can fail."""

from collections.abc import Sequence

from app.core.errors import ConflictError, FieldError, ForbiddenError, NotFoundError


class ProjectNotFoundError(NotFoundError):
    """There is no such project, or none that you may see."""

    code = "project_not_found"
    title = "Project not found"


class MemberNotFoundError(NotFoundError):
    """This person is not a member of the project."""

    code = "member_not_found"
    title = "Member not found"


class RoleRequiredError(ForbiddenError):
    """Your role in this project is too weak; ask one of its owners for a stronger one."""

    code = "role_required"
    title = "A stronger role is needed"

    def __init__(self, role: str = "editor", *, but_own: bool = False, errors: Sequence[FieldError] = ()) -> None:
        """`but_own`: whether a weaker role is enough for what is the caller's own."""
        own = ", except for what is your own" if but_own else ""
        super().__init__(f"This needs the role {role} in the project{own}; ask one of its owners.", errors=errors)


class LastOwnerError(ConflictError):
    """This is the project's last owner who may sign in: make another member an owner first."""

    code = "last_owner"
    title = "The last owner"


class TooManyMembersError(ConflictError):
    """The project has as many members as it may."""

    code = "too_many_members"
    title = "Too many members"
