"""Errors: each has a status, a code and a title of its own, and is documented."""

import ast
import pkgutil
import re
from importlib import import_module
from pathlib import Path

import pytest

import app
from app.core.errors import AppError, NotFoundError
from tests.support.client import Api, assert_problem

# So that no error stays unseen because the application does not import it.
for module in pkgutil.walk_packages(app.__path__, "app."):
    if not module.name.endswith("__main__"):
        import_module(module.name)


def subclasses(cls: type[AppError] = AppError) -> list[type[AppError]]:
    # Those that tests plant below may linger until the garbage collector comes.
    children = [child for child in cls.__subclasses__() if child.__module__.startswith("app.")]
    return [found for child in children for found in (child, *subclasses(child))]


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [cls.code for cls in subclasses()]
    assert sorted(codes) == sorted(AppError.catalogue)
    assert [code for code in codes if not re.fullmatch(r"[a-z]+(_[a-z]+)*", code)] == []


def test_every_error_is_complete() -> None:
    for cls in subclasses():
        assert 400 <= cls.status < 600, cls
        assert re.fullmatch(r"[A-Z][^.:]{1,50}", cls.title), f"{cls}: a title is a short phrase without a full stop"
        assert re.fullmatch(r"[A-Z].*\.", cls.help), f"{cls}: what can be done about it is told in whole sentences"


def field_details(text: str) -> list[str]:
    """Return what the calls in a module say is wrong with one value, `…` for what is filled in."""
    found: list[ast.expr] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            match ast.unparse(node.func).rpartition(".")[2], node.args:
                case ("at" | "_refused", [detail, *_]) | (
                    "PydanticCustomError" | "contradiction" | "_error",
                    [_, detail, *_],
                ):
                    found.append(detail)
                case "FieldError", _:
                    found += [keyword.value for keyword in node.keywords if keyword.arg == "detail"]
    return [
        "".join(
            str(part.value) if isinstance(part, ast.Constant) else "…" for part in getattr(detail, "values", [detail])
        )
        for detail in found
    ]


def refused_details(text: str) -> list[str]:
    """Return the details in a module that do not continue the name of what is refused."""
    details = (detail.removeprefix("…").lstrip() for detail in field_details(text))
    return [
        detail
        for detail in details
        if detail and not re.fullmatch(r"(must|is|cannot|can|does|was|excludes|contains) .*[^.]|\{reason\}", detail)
    ]


def test_a_detail_continues_the_name_of_what_is_refused() -> None:
    sources = {path: path.read_text() for path in Path(*app.__path__).rglob("*.py")}
    assert sum(len(field_details(text)) for text in sources.values()) > 40
    refused = {str(path): details for path, text in sources.items() if (details := refused_details(text))}
    assert refused == {}, 'a detail continues the name, without a full stop: "must be …", "is …", "cannot be …"'


@pytest.mark.parametrize(
    "planted",
    [
        'InvalidRequestError.at("Too long.", "too_long", parameter="q")',
        'PydanticCustomError("too_long", "may be {limit} long", {"limit": 3})',
        'FieldError(pointer="/name", detail=f"at most {limit}", code="too_long")',
        'FieldError(pointer="/name", detail="must be shorter.", code="too_long")',
    ],
)
def test_a_detail_of_another_form_is_found(planted: str) -> None:
    assert len(refused_details(planted)) == 1


async def test_every_code_is_documented_where_its_type_leads(anonymous: Api) -> None:
    for code, cls in AppError.catalogue.items():
        answer = await anonymous.get(f"/problems/{code}")
        assert answer.status_code == 200, code
        assert answer.json() == {"code": code, "title": cls.title, "status": cls.status, "description": cls.help}
    assert_problem(await anonymous.get("/problems/never_heard_of"), 404, "problem_kind_not_found")


@pytest.mark.parametrize(
    ("lacking", "complaint"),
    [
        ("status", "lacks status"),
        ("code", "lacks code"),
        ("title", "lacks title"),
        ("__doc__", "lacks a docstring"),
    ],
)
def test_an_incomplete_error_fails_where_it_is_defined(lacking: str, complaint: str) -> None:
    members = {"__doc__": "Planted.", "status": 418, "code": "planted", "title": "Planted"}
    del members[lacking]
    with pytest.raises(TypeError, match=f"PlantedError {complaint}"):
        type("PlantedError", (AppError,), members)
    assert "planted" not in AppError.catalogue


def test_an_error_does_not_inherit_its_code() -> None:
    with pytest.raises(TypeError, match="PlantedError needs a code of its own"):
        type("PlantedError", (NotFoundError,), {"__doc__": "Planted.", "title": "Planted"})


def test_two_errors_cannot_share_a_code() -> None:
    with pytest.raises(TypeError, match="PlantedError and NotFoundError share the code 'not_found'"):
        type("PlantedError", (NotFoundError,), {"__doc__": "Planted.", "title": "Planted", "code": "not_found"})
    assert AppError.catalogue["not_found"] is NotFoundError
