"""Languages that some tests of the OpenAPI document need, and that not every machine has."""

import os

import pytest

from tests.support import tools


def needed(language: str) -> str:
    """What runs a language. Without it the test is left out, or fails if TALLER_TEST_CLIENTS names the language."""
    try:
        return tools.program(language)
    except tools.MissingError as error:
        if language in os.environ.get("TALLER_TEST_CLIENTS", "").split(","):
            pytest.fail(str(error))
        pytest.skip(f"{error}: what needs it was not tried")
