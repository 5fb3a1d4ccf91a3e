"""Suggestions for names of parameters and members that do not exist. Used only when a request is refused."""

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, get_args

from pydantic import BaseModel

_CUTOFF = 0.7
"""The least similarity of two names, from 0 to 1. At 0.6, `completed` would be suggested for `created_at`."""

_MIN_PREFIX = 3
"""Characters of the shortest abbreviation."""


def unknown(what: str, name: str, models: Iterable[type[BaseModel]]) -> str:
    """Return the detail of the error for an unknown name, with a suggestion or with all names that exist.

    `what`: the kind of name, such as "a parameter here" or "a member that can be set".
    """
    fields, meanings = _names_of(tuple(models))
    meant = _meant(name, meanings)
    if meant is not None:
        return f"is not {what}; did you mean {meant}?"
    return f"is not {what} (known: {', '.join(sorted(fields))})" if fields else f"is not {what}"


def models_at(model: type[BaseModel], path: Iterable[object]) -> list[type[BaseModel]]:
    """Return the models of the object at a path into a body of this model; numbers in the path are list indexes."""
    models = [model]
    for part in path:
        if isinstance(part, str):
            fields = [kind.model_fields[part] for kind in models if part in kind.model_fields]
            models = [found for field in fields for found in _models_in(field.annotation)]
    return models


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


@lru_cache(maxsize=256)
def _names_of(models: tuple[type[BaseModel], ...]) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """Return the fields of models, and each field by every name that means it, as `_plain` returns names: its own, and
    those in other APIs (the models' `also_called`).
    """
    fields = tuple(field.alias or name for model in models for name, field in model.model_fields.items())
    others = {
        _plain(other): name
        for model in models
        for kind in model.__mro__
        for other, name in vars(kind).get("also_called", {}).items()
        if name in fields
    }
    return fields, {**others, **{_plain(name): name for name in fields}}


def _meant(name: str, meanings: Mapping[str, str]) -> str | None:
    plain = _plain(name)
    if plain in meanings:
        return meanings[plain]
    if len(plain) >= _MIN_PREFIX and (longer := [each for each in meanings if each.startswith(plain)]):
        return meanings[min(longer, key=len)]
    close = get_close_matches(plain, meanings, n=1, cutoff=_CUTOFF)
    return meanings[close[0]] if close else None


def _plain(name: str) -> str:
    """Return a name without case and punctuation: `dueDate`, `due-date` and `due_date` become equal."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
