"""A report of all settings for operators: each value, its source and its error."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

from annotated_types import Ge, Gt, Le
from dotenv import dotenv_values
from pydantic import SecretStr, ValidationError

from app.core.addresses import AddressError, without_password
from app.core.config import ENV_FILE, Settings, variable_of

_PREFIX = "TALLER_"
_OF_TESTS = "TALLER_TEST_"
_CUTOFF = 0.75
"""The least similarity of two names, from 0 to 1, for one to be suggested for the other."""

_MASK = "********"


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting and its current value."""

    name: str
    value: str | None
    """The value as it was written; secrets are masked."""

    source: str
    """`environment`, `.env`, the file that holds it, or `default`."""

    problem: str | None


def problems_of(error: ValidationError) -> dict[str, str]:
    """Return a sentence for each invalid setting, by its variable: it says which values are valid."""
    return {variable_of(str(item["loc"][0])): _sentence(str(item["loc"][0]), item) for item in error.errors()}


def unknown_variables() -> dict[str, str]:
    """Return an error for each variable that has the prefix of settings and is not one."""
    known = Settings.model_fields
    found = {}
    for name in (*_environment(), *_file()):
        field = name.removeprefix(_PREFIX).lower()
        if field not in known and not name.startswith(_OF_TESTS):
            close = get_close_matches(field, known, n=1, cutoff=_CUTOFF)
            found[name] = f"{name} is not a setting{f': did you mean {variable_of(close[0])}?' if close else '.'}"
    return found


def settings_as_they_stand() -> list[Setting]:
    """Return every setting, and every variable that has the prefix and is not a setting."""
    try:
        Settings()
    except ValidationError as error:
        problems = problems_of(error)
    else:
        problems = {}
    sources = {"environment": _environment(), ENV_FILE: _file()}
    found = []
    for field, information in Settings.model_fields.items():
        name = variable_of(field)
        source = next((source for source, values in sources.items() if name in values), "default")
        value = _written(information.default) if source == "default" else sources[source][name]
        file = next((values[f"{name}_FILE"] for values in sources.values() if f"{name}_FILE" in values), None)
        if file is not None and source == "default":
            source, value = file, _MASK
        found.append(Setting(name, _masked(field, value), source, problems.get(name)))
    found += [Setting(name, None, "?", problem) for name, problem in unknown_variables().items()]
    return found


def _sentence(field: str, item: Any) -> str:
    name = variable_of(field)
    if item["type"] != "value_error":
        return f"{name} must be {_rule(field)}."
    said = str(item["ctx"]["error"])
    return f"{name}{' ' if said.startswith(('must ', 'is ', 'cannot ')) else ': '}{said}."


def _rule(field: str) -> str:
    """Return which values a setting accepts, from its type."""
    kinds, bounds = _parts(Settings.model_fields[field])
    choices = [str(choice) for kind in kinds for choice in get_args(kind) if isinstance(choice, str)]
    if choices:
        return " or ".join(choices)
    if bool in kinds:
        return "true or false"
    least = next((bound for bound in bounds if isinstance(bound, (Ge, Gt))), None)
    most = next((bound.le for bound in bounds if isinstance(bound, Le)), None)
    number = "a whole number" if int in kinds else "a number"
    lower = {Ge: "from {}", Gt: "above {}"}[type(least)].format(_bound(least)) if least is not None else ""
    if most is None:
        return f"{number} {lower} on"
    return f"{number} {lower} {'to' if isinstance(least, Ge) else 'and at most'} {most}"


def _bound(bound: Ge | Gt) -> object:
    return bound.ge if isinstance(bound, Ge) else bound.gt


def _parts(information: Any) -> tuple[list[Any], list[Any]]:
    """Return the types of a field without None, and their constraints."""
    kinds, bounds = [], list(information.metadata)
    pending = [information.annotation]
    while pending:
        kind = pending.pop()
        if hasattr(kind, "__metadata__"):
            bounds += kind.__metadata__
            pending.append(kind.__origin__)
        elif get_args(kind) and not any(isinstance(each, str) for each in get_args(kind)):
            pending += get_args(kind)
        else:
            kinds.append(kind)
    bounds += [each for bound in bounds for each in getattr(bound, "metadata", ())]
    return kinds, bounds


def _environment() -> dict[str, str]:
    return dict(_ours(os.environ))


def _file() -> dict[str, str]:
    return dict(_ours(dotenv_values(ENV_FILE)))


def _ours(values: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """Yield the variables from which settings are read: names in any letter case, no empty values."""
    for name, value in values.items():
        if name.upper().startswith(_PREFIX) and value:
            yield name.upper(), value


def _written(default: Any) -> str | None:
    match default:
        case None | ():
            return None
        case bool():
            return str(default).lower()
        case SecretStr():
            return default.get_secret_value()
    return str(default)


def _masked(field: str, value: str | None) -> str | None:
    if value is None or value == _MASK:
        return value
    if field in {"database_url", "database_replica_url"}:
        try:
            return without_password(value)
        except AddressError:
            return _MASK
    return _MASK if field in {"jwt_secret", "jwt_previous_secrets"} else value
