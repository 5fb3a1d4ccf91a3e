"""What the access matrix has to know of labels."""

from tests.access.scenario import AccessSamples
from tests.labels.factories import LabelFactory

SAMPLES = AccessSamples(
    bodies={
        "create_label": lambda _: {"name": "bug"},
        "update_label": lambda _: {"color": "#d73a4a"},
        "patch_label": lambda _: {"color": "#d73a4a"},
    },
    things=lambda stored: {"label_id": LabelFactory.build(project_id=stored.project.id)},
)
