"""The errors of comments."""

from app.core.errors import ForbiddenError, NotFoundError


class CommentNotFoundError(NotFoundError):
    """The comment does not exist or is not visible to you."""

    code = "comment_not_found"
    title = "Comment not found"


class AuthorRequiredError(ForbiddenError):
    """Only its author may change a comment; its author, the project's owners and administrators may delete it."""

    code = "author_required"
    title = "Author required"
