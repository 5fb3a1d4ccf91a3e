"""A build hook: what would be installed from a wheel could not migrate, so none is built."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NoWheel(BuildHookInterface[Any]):
    """Lets `pip install -e` have its links, and refuses every other wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling calls it so
        """Raise an error unless the wheel is an editable one, which leads to the checkout."""
        if version != "editable":
            raise RuntimeError(
                "Taller is no package, its migrations stand beside app/: "
                "run it from a checkout (make install) or as its image (docker/Dockerfile)."
            )
