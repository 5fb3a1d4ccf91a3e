"""The errors of labels."""

from app.core.errors import ConflictError, NotFoundError


class LabelNotFoundError(NotFoundError):
    """The label does not exist or is not visible to you."""

    code = "label_not_found"
    title = "Label not found"


class LabelNameTakenError(ConflictError):
    """Another label of this project has this name. Letter case makes no difference."""

    code = "label_name_taken"
    title = "Label name taken"


class TooManyLabelsError(ConflictError):
    """The project has reached its limit of labels: delete one first."""

    code = "too_many_labels"
    title = "Too many labels"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The project has reached its limit of {limit} labels: delete one first.")
