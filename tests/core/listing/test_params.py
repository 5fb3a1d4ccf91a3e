"""What parameters of lists may say."""

from itertools import product
from typing import Annotated

import jsonschema_rs
from pydantic import TypeAdapter, ValidationError

from app.core.listing.params import CommaSeparated


def test_the_pattern_of_sort_promises_what_is_accepted() -> None:
    adapter = TypeAdapter[str](Annotated[str, CommaSeparated(("name", "created_at", "created"), is_signed=True)])
    documented = jsonschema_rs.validator_for(adapter.json_schema())
    words = ["name", "-name", "created_at", "-created", "--name", "", "Name", "size"]
    values = [",".join(chosen) for count in range(1, 5) for chosen in product(words, repeat=count)]
    accepted = 0
    for value in values:
        try:
            is_accepted = adapter.validate_python(value) == value
        except ValidationError:
            is_accepted = False
        assert is_accepted == documented.is_valid(value), value
        accepted += is_accepted
    assert accepted == 4 + 10 + 12
