"""What holds a bounded number of values."""

from app.core.bounded import BoundedDict


def test_of_too_many_values_the_one_put_first_goes() -> None:
    held: BoundedDict[str, int] = BoundedDict(2)
    for number, name in enumerate("abc"):
        held.put(name, number)
    assert dict(held) == {"b": 1, "c": 2}
    # In its old place, so it is still the first to go.
    held.put("b", 3)
    held.put("d", 4)
    assert dict(held) == {"c": 2, "d": 4}


def test_a_value_that_was_used_stays_longer() -> None:
    held: BoundedDict[str, int] = BoundedDict(2)
    held.put("a", 1)
    held.put("b", 2)
    held.move_to_end("a")
    held.put("c", 3)
    assert dict(held) == {"a": 1, "c": 3}
