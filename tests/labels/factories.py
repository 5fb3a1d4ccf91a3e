"""Labels."""

from polyfactory import Use

from app.core.ids import uuid7
from app.labels.models import DEFAULT_COLOR, Label
from tests.support.factories import RowFactory


class LabelFactory(RowFactory[Label]):
    """A label; give it a `project_id`."""

    __model__ = Label
    name = Use(lambda: f"Label {uuid7()}")
    color = DEFAULT_COLOR
    version = 1
