"""What the access matrix has to know of comments."""

from tests.access.scenario import AccessSamples, ids_of
from tests.comments.factories import CommentFactory

_BODY = {"body": "Measured twice."}

SAMPLES = AccessSamples(
    bodies=dict.fromkeys(("create_comment", "update_comment", "patch_comment"), lambda _: _BODY),
    things=lambda place: {
        "comment_id": CommentFactory.build(task_id=ids_of(place)["task_id"], author_id=place.author.id)
    },
)
