"""Comments."""

from app.comments.models import Comment
from tests.support.factories import RowFactory


class CommentFactory(RowFactory[Comment]):
    """A comment; give it a `task_id`."""

    __model__ = Comment
    author_id = None
    version = 1
