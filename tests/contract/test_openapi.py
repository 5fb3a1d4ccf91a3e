"""The OpenAPI document: valid, complete, and about the routes that there are."""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from importlib.metadata import version
from typing import Any, NamedTuple

import jsonschema_rs
import pytest
import schemathesis
from pydantic import BaseModel, TypeAdapter, ValidationError

from app import __version__
from app.auth.sessions.schemas import Credentials
from app.core.config import Settings
from app.core.errors import MAX_REPORTED_ERRORS, PROBLEM_MEDIA_TYPE, AppError, InvalidRequestError
from app.core.guards import UNLIMITED, PublicGuard, guards_of
from app.core.http.problems import field_errors
from app.core.http.routing import API_PREFIX
from app.core.preconditions.headers import PreconditionFailedError
from app.main import create_app
from app.projects.errors import PreconditionRequiredError
from tests.support.openapi import APP, DOCUMENT

SETTINGS = Settings(_env_file=None, env="development")
PATHS: dict[str, dict[str, Any]] = DOCUMENT["paths"]

# What serves the documentation itself is not part of what it documents.
UNDOCUMENTED = {"/", "/docs", "/docs/guides", "/docs/guides/{guide}", "/docs/{asset}", "/openapi.json", "/problems"}

CONTRACT = {
    "POST /api/v1/auth/login",
    "GET /api/v1/auth/me",
    "POST /api/v1/projects/",
    "GET /api/v1/projects/",
    *(f"{method} /api/v1/projects/{{project_id}}" for method in ("GET", "PUT", "PATCH", "DELETE")),
    "POST /api/v1/projects/{project_id}/tasks/",
    "GET /api/v1/projects/{project_id}/tasks/",
    *(f"{method} /api/v1/tasks/{{task_id}}" for method in ("GET", "PUT", "PATCH", "DELETE")),
    "GET /health/live",
    "GET /health/ready",
}
"""What clients rely on; an operation may join, none may leave."""


class Operation(NamedTuple):
    """One operation of the document."""

    method: str
    path: str
    said: dict[str, Any]

    @property
    def name(self) -> str:
        """As people write it."""
        return f"{self.method.upper()} {self.path}"

    @property
    def body(self) -> dict[str, Any]:
        """What it reads, by media type."""
        content: dict[str, Any] = self.said.get("requestBody", {}).get("content", {})
        return content


COMPONENTS: dict[str, dict[str, Any]] = DOCUMENT["components"]


def followed(part: dict[str, Any]) -> dict[str, Any]:
    """What a reference leads to, or the part itself."""
    if "$ref" not in part:
        return part
    _, _, kind, name = part["$ref"].split("/")
    found: dict[str, Any] = COMPONENTS[kind][name]
    return found


def with_shared_parts(said: dict[str, Any]) -> dict[str, Any]:
    """An operation with its responses and their headers in the place of references."""
    responses = {}
    for status, response in said["responses"].items():
        whole = followed(response)
        responses[status] = {**whole, "headers": {name: followed(part) for name, part in whole["headers"].items()}}
    return {**said, "responses": responses}


OPERATIONS = [
    Operation(method, path, with_shared_parts(said)) for path, item in PATHS.items() for method, said in item.items()
]
each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
each_with_a_body = pytest.mark.parametrize(
    "operation", [operation for operation in OPERATIONS if operation.body], ids=lambda operation: operation.name
)
each_with_parameters = pytest.mark.parametrize(
    "operation",
    [operation for operation in OPERATIONS if "parameters" in operation.said],
    ids=lambda operation: operation.name,
)


def answer_of(operation: Operation) -> dict[str, Any]:
    """The schema of what it answers with success; empty where that is no JSON."""
    successes = [said for status, said in operation.said["responses"].items() if status.startswith("2")]
    return followed(successes[0].get("content", {}).get("application/json", {}).get("schema", {}))


def is_list(operation: Operation) -> bool:
    """Whether it answers with pages of a list."""
    return operation.method == "get" and "next_cursor" in answer_of(operation).get("properties", ())


def shows_its_tag(operation: Operation) -> bool:
    """Whether what it answers has a tag of its own."""
    return "etag" in answer_of(operation).get("properties", ())


TAGGED_THINGS = {operation.path for operation in OPERATIONS if operation.method == "get" and shows_its_tag(operation)}
"""The addresses of what is read with a tag of its own."""

ROUTES = {
    f"{method} {route.path}": route
    for route in APP.innermost.operations.routes
    for method in sorted(route.methods or ())
}


def examples_of(content: dict[str, Any]) -> list[Any]:
    """The examples of a body, wherever OpenAPI 3.1 lets them stand."""
    named = [example["value"] for example in content.get("examples", {}).values()]
    return named or list(followed(content["schema"]).get("examples", ()))


def complaints(schema: dict[str, Any], value: object) -> list[str]:
    """In what the value differs from the schema, formats included."""
    return [error.message for error in _validator(json.dumps(schema)).iter_errors(value)]


@cache
def _validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    """Return the validator of a schema, which reads all components: once, not for each value."""
    whole = {**json.loads(schema), "components": DOCUMENT["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


def walk(value: object) -> Iterator[dict[str, Any]]:
    """Every object in a document."""
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from walk(item)
    elif isinstance(value, list):
        for item in value:
            yield from walk(item)


def test_document_is_openapi_3_1_and_schemas_are_json_schema() -> None:
    assert re.fullmatch(r"3\.1\.\d+", DOCUMENT["openapi"])
    document = deepcopy(DOCUMENT)
    # The specification (4.6) lets a URL be relative; this older edition of its schema does not know that.
    flow = document["components"]["securitySchemes"]["bearer"]["flows"]["password"]
    flow["tokenUrl"] = f"https://taller.test{flow['tokenUrl']}"
    schemathesis.openapi.from_dict(document).validate()
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    references = {item["$ref"] for item in walk(DOCUMENT) if isinstance(item.get("$ref"), str)}
    kinds = set(COMPONENTS) - {"securitySchemes"}
    assert references == {f"#/components/{kind}/{name}" for kind in kinds for name in COMPONENTS[kind]}


def test_document_is_small_because_parts_are_shared() -> None:
    assert len(json.dumps(DOCUMENT, separators=(",", ":"))) < 5_000 * len(OPERATIONS)


def test_schema_names_are_valid_class_names() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert re.fullmatch("([A-Z][a-z]+)+", name)
        assert schema.get("title", name) == name
        # A title that only says a member's name again is noise in generated comments.
        assert [member for member in schema.get("properties", {}).values() if "title" in member] == []


def test_unions_are_with_null_or_of_discriminated_schemas() -> None:
    for schema in walk(DOCUMENT):
        if "anyOf" in schema:
            kinds = [kind for kind in schema["anyOf"] if kind != {"type": "null"}]
            assert len(kinds) == 1
            assert len(schema["anyOf"]) == 2
        if "oneOf" in schema:
            assert schema in DOCUMENT["components"]["schemas"].values()
            assert set(schema["discriminator"]["mapping"].values()) == {kind["$ref"] for kind in schema["oneOf"]}


def test_every_body_and_every_answer_is_a_named_schema() -> None:
    bodies = [content for operation in OPERATIONS for content in operation.body.values()]
    answers = [
        content
        for operation in OPERATIONS
        for status, said in operation.said["responses"].items()
        if status.startswith("2")
        for content in said.get("content", {}).values()
    ]
    assert [content["schema"] for content in bodies + answers if set(content["schema"]) != {"$ref"}] == []


def test_names_that_generated_code_puts_side_by_side_differ() -> None:
    components = [name.casefold() for kind in ("schemas", "responses") for name in DOCUMENT["components"][kind]]
    assert len(set(components)) == len(components)
    # Functions, and tools of bridges to language models, take parameters and the body's members as one list.
    for operation in OPERATIONS:
        names = [parameter["name"] for parameter in operation.said.get("parameters", ())]
        for content in operation.body.values():
            assert not set(names) & set(followed(content["schema"])["properties"]), operation.name


def takes_key(operation: Operation) -> bool:
    """Whether it documents the header `Idempotency-Key`."""
    return any(parameter["name"] == "Idempotency-Key" for parameter in operation.said.get("parameters", ()))


def test_no_422_is_promised_but_for_idempotency_keys() -> None:
    for operation in OPERATIONS:
        assert ("422" in operation.said["responses"]) == takes_key(operation)
        if takes_key(operation):
            assert problem_codes(operation, "422") == {"idempotency_key_reused"}
            assert {"idempotency_key_in_use", "too_many_idempotency_keys"} <= problem_codes(operation, "409")
    assert [name for name in DOCUMENT["components"]["schemas"] if "ValidationError" in name] == []


def test_the_document_is_the_routes_and_hides_none() -> None:
    documented = {operation.name for operation in OPERATIONS}
    assert documented == {name for name, route in ROUTES.items() if route.path not in UNDOCUMENTED}
    assert documented >= CONTRACT


def test_each_address_is_shown_once_in_its_canonical_form() -> None:
    assert len({path.rstrip("/") for path in PATHS}) == len(PATHS)
    bare = {path for path in PATHS if not path.startswith(f"{API_PREFIX}/")}
    assert bare == {"/health/live", "/health/ready", "/problems/{code}"}
    # A list ends with a slash, but for those of one's own account.
    lists = {operation.path for operation in OPERATIONS if is_list(operation)}
    assert {path for path in PATHS if path.endswith("/")} == {path for path in lists if "/auth/" not in path}


def test_operation_ids_are_unique() -> None:
    ids = [operation.said["operationId"] for operation in OPERATIONS]
    assert sorted(set(ids)) == sorted(ids)


def test_the_version_is_that_of_the_distribution() -> None:
    assert DOCUMENT["info"]["version"] == __version__ == version("taller")


def test_what_newcomers_look_for_stands_first() -> None:
    tags = [tag["name"] for tag in DOCUMENT["tags"]]
    assert tags.index("projects") < tags.index("tasks") < tags.index("auth") < tags.index("health")
    assert tags[0] == "projects"


def test_tags_in_use_are_those_that_are_described() -> None:
    described = [tag["name"] for tag in DOCUMENT["tags"] if tag["description"]]
    assert {tag for operation in OPERATIONS for tag in operation.said["tags"]} == set(described)


@each_operation
def test_it_has_a_summary_a_description_and_its_handlers_name(operation: Operation) -> None:
    assert operation.said["summary"]
    assert operation.said["description"]
    handler: Any = ROUTES[operation.name].endpoint
    assert operation.said["operationId"] == handler.__name__
    assert len(operation.said["tags"]) == 1


@each_operation
def test_it_documents_how_it_can_fail(operation: Operation) -> None:
    expected = {"400", "500", "503"}
    if operation.said["security"]:
        expected.add("401")
    if "{" in operation.path:
        expected.add("404")
    if operation.body:
        expected |= {"413", "415"}
    assert expected <= set(operation.said["responses"])
    assert "invalid_json" not in problem_codes(operation, "400") or operation.body


def problem_codes(operation: Operation, status: str) -> set[str]:
    """The problems that an operation documents for a status."""
    return set(operation.said["responses"][status]["content"][PROBLEM_MEDIA_TYPE]["examples"])


@each_operation
def test_each_problem_has_an_example_for_each_code(operation: Operation) -> None:
    for status, response in operation.said["responses"].items():
        if status.startswith("2"):
            continue
        if status == "304":
            assert set(response) == {"description", "headers"}
            continue
        assert set(response["content"]) == {PROBLEM_MEDIA_TYPE}
        content = response["content"][PROBLEM_MEDIA_TYPE]
        assert content["schema"] == {
            "allOf": [{"$ref": "#/components/schemas/Problem"}],
            "properties": {"code": {"type": "string", "enum": sorted(content["examples"])}},
        }
        assert content["examples"]
        for code, example in content["examples"].items():
            kind = AppError.catalogue[code]
            assert str(kind.status) == status
            assert (example["value"]["code"], example["value"]["title"]) == (code, kind.title)
            assert complaints(content["schema"], example["value"]) == []


@each_operation
def test_only_public_operations_need_no_token(operation: Operation) -> None:
    guards = guards_of(ROUTES[operation.name])
    assert (operation.said["security"] == []) == all(isinstance(guard, PublicGuard) for guard in guards)


@each_with_a_body
def test_its_body_has_an_example_that_the_service_takes(operation: Operation) -> None:
    route = ROUTES[operation.name]
    # Login reads two media types by itself, so FastAPI knows no body of it.
    model: Any = Credentials if route.body_field is None else route.body_field.field_info.annotation
    for content in operation.body.values():
        examples = examples_of(content)
        assert examples
        for example in examples:
            assert complaints(content["schema"], example) == []
            TypeAdapter(model).validate_python(example)


@each_with_a_body
def test_its_refusals_speak_of_json(operation: Operation) -> None:
    route = ROUTES[operation.name]
    model: Any = Credentials if route.body_field is None else route.body_field.field_info.annotation
    values: list[Any] = [None, True, 1, 1.5, 10**30, "", "x", "\ud800", [], [None], [1], [[]], [{}], {}, {"x": 1}]
    for body in (*values, *({name: value} for name in model.model_fields for value in values)):
        try:
            model.model_validate(body)
        except ValidationError as error:
            found = field_errors(error, model, "body")
        except InvalidRequestError as error:
            found = error.errors
        else:
            continue
        for each in found:
            assert each["detail"].startswith(("must ", "is required", "is not a member")), (body, each)
            assert not re.search(r"valid|bytes|object to|True|None|input", each["detail"]), (body, each)


@each_with_a_body
def test_errors_of_a_long_list_are_not_all_collected(operation: Operation) -> None:
    """Each costs 2 µs, and a body has room for 60 000."""
    route = ROUTES[operation.name]
    model: Any = Credentials if route.body_field is None else route.body_field.field_info.annotation
    assert all(_errors_in(model, {name: [0] * 1_000}) <= MAX_REPORTED_ERRORS for name in model.model_fields)


def _errors_in(model: type[BaseModel], body: Any) -> int:
    """How many errors are found."""
    try:
        model.model_validate(body)
    except ValidationError as error:
        return error.error_count()
    except InvalidRequestError as error:
        return len(error.errors)
    return 0


@each_operation
def test_its_answer_has_an_example_that_is_such_an_answer(operation: Operation) -> None:
    successes = {status: said for status, said in operation.said["responses"].items() if status.startswith("2")}
    # A PUT that may create says which of the two it did, and a batch whether it was all or nothing.
    route = ROUTES[operation.name]
    others = {str(status) for status in route.responses if str(status).startswith("2")}
    assert set(successes) == {str(route.status_code or 200)} | others
    for status, response in successes.items():
        assert ("content" not in response) == (status == "204")
        for content in response.get("content", {}).values():
            examples = examples_of(content)
            assert examples
            for example in examples:
                assert complaints(content["schema"], example) == []
                # Of several kinds of answer, the example is of the first.
                kind = content["schema"]
                assert list(example) == list(followed(kind)["properties"])


@each_with_parameters
def test_parameter_has_a_portable_name_and_one_type(operation: Operation) -> None:
    for parameter in operation.said["parameters"]:
        # What bridges to language models take for a name, and most generators too.
        assert re.fullmatch("[a-zA-Z0-9_.-]{1,64}", parameter["name"]), parameter
        schema = followed(parameter["schema"])
        assert isinstance(schema["type"], str), parameter
        assert not {"anyOf", "oneOf", "allOf", "not"} & schema.keys(), parameter
        assert "null" not in (schema["type"], *schema.get("enum", ())), parameter


@each_with_parameters
def test_parameter_has_an_example_and_its_own_description(operation: Operation) -> None:
    said = [item.get("description", "") for item in operation.said["parameters"]]
    assert [text for text in said if not text.endswith(".") or said.count(text) > 1] == []
    for parameter in operation.said["parameters"]:
        schema = followed(parameter["schema"])
        examples = schema.get("enum") or schema.get("items", schema).get("examples")
        assert examples, f"give {parameter['name']} a value to show: `examples=[…]`"
        for example in examples:
            assert complaints(schema.get("items", schema), example) == []
        # Swagger UI would fill these in, and send what nobody meant.
        assert not {"example", "examples"} & parameter.keys()


@each_with_parameters
def test_parameters_stand_in_the_order_in_which_people_need_them(operation: Operation) -> None:
    places = [parameter["in"] for parameter in operation.said["parameters"]]
    assert places == sorted(places, key=["path", "query", "header"].index)
    names = [parameter["name"] for parameter in operation.said["parameters"] if parameter["in"] == "query"]
    bounds = [name for name in names if name.endswith(("_gte", "_gt", "_lte", "_lt", "_is_null"))]
    assert names[len(names) - len(bounds) :] == bounds
    if is_list(operation):
        paging = ["size", "cursor", "page", "include_total"]
        assert names[: len(names) - len(bounds)][-4:] == paging
        assert names.index("sort") == names.index("size") - 1 if "sort" in names else names[:4] == paging
        assert "q" not in names or names[0] == "q"


def test_the_start_of_a_list_by_cursor_can_be_sent() -> None:
    cursors = [
        item for operation in OPERATIONS for item in operation.said.get("parameters", ()) if item["name"] == "cursor"
    ]
    assert cursors
    assert all(cursor["allowEmptyValue"] for cursor in cursors)


@each_operation
def test_headers_that_always_come_are_documented(operation: Operation) -> None:
    headers = {
        status: {name for name, header in said["headers"].items() if header.get("required")}
        for status, said in operation.said["responses"].items()
    }
    assert all("X-Request-ID" in names for names in headers.values())
    headers = {status: names - {"X-Request-ID"} for status, names in headers.items()}
    assert headers["503"] == {"Retry-After"}
    assert headers.get("401", {"WWW-Authenticate"}) == {"WWW-Authenticate"}
    assert headers.get("201", {"Location"}) - {"ETag"} == {"Location"}
    assert {status for status in ("304", "412") if headers.get(status, {"ETag"}) != {"ETag"}} == set()
    is_tagged = any("ETag" in headers[status] for status in headers if status.startswith("2"))
    assert is_tagged == (shows_its_tag(operation) or is_list(operation))
    possible = {status: set(said["headers"]) for status, said in operation.said["responses"].items()}
    replayed = {status for status, names in possible.items() if "Idempotent-Replayed" in names}
    assert replayed == ({status for status in headers if status < "300"} if takes_key(operation) else set())
    assert ("Retry-After" in possible.get("409", ())) == takes_key(operation)


def test_the_idempotency_key_is_documented_as_it_is_read() -> None:
    parameters = [
        parameter
        for operation in OPERATIONS
        for parameter in operation.said.get("parameters", ())
        if parameter["name"] == "Idempotency-Key"
    ]
    parameter = parameters[0]
    assert parameters == [parameter] * len(parameters)
    assert (parameter["in"], parameter["required"]) == ("header", False)
    for key in (
        *parameter["schema"]["examples"],
        "k",
        '"k"',
        "x" * 255,
        f'"{"x" * 255}"',
        '"a, b; c"',
        r'"\"\\"',
        r"a\b",
    ):
        assert complaints(parameter["schema"], key) == []
    for key in ("", '""', "a b", "a,b", "a;b", '"a', 'a"', "x" * 256, f'"{"x" * 256}"', r'"a\b"', "ä", "\x7f"):
        assert complaints(parameter["schema"], key) != []


@each_operation
def test_rate_limit_headers_are_documented_as_conditional(operation: Operation) -> None:
    for said in operation.said["responses"].values():
        for name in ("RateLimit-Policy", "RateLimit"):
            header = said["headers"][name]
            assert not header.get("required")
            assert complaints(header["schema"], header["example"]) == []


@each_operation
def test_whatever_is_limited_documents_that(operation: Operation) -> None:
    is_probe = any(guard.rate_policy == UNLIMITED for guard in guards_of(ROUTES[operation.name]))
    assert ("429" not in operation.said["responses"]) == is_probe
    if "429" in operation.said["responses"]:
        assert "too_many_requests" in problem_codes(operation, "429")
        assert "Retry-After" in operation.said["responses"]["429"]["headers"]


@each_operation
def test_what_can_depend_on_a_tag_says_so(operation: Operation) -> None:
    responses, method = operation.said["responses"], operation.method
    is_tagged_read = method == "get" and (shows_its_tag(operation) or is_list(operation))
    asks = any(guard.is_conditional for guard in guards_of(ROUTES[operation.name]))
    is_conditional_write = method in {"put", "patch", "delete"} and (operation.path in TAGGED_THINGS or asks)
    sent = {item["name"] for item in operation.said.get("parameters", ()) if item["in"] == "header"}
    sent -= {"Idempotency-Key"}
    assert sent == ({"If-Match", "If-None-Match"} if is_tagged_read or is_conditional_write else set()), (
        "what is read with a tag is changed and deleted by it: give the guard `is_conditional=True`"
    )
    assert ("304" in responses) == is_tagged_read
    # A batch has its tags in its body, and says of itself that they may fail.
    errors = ROUTES[operation.name].errors
    assert ("412" in responses) == (bool(sent) or PreconditionFailedError in errors)
    assert ("428" in responses) == (is_conditional_write or PreconditionRequiredError in errors)


def test_body_has_one_media_type_and_others_are_explained() -> None:
    # Of several, generators make a function for each, or a union, or (openapi-python-client) what cannot be imported.
    said = {}
    for operation in OPERATIONS:
        if operation.body:
            assert set(operation.body) == {"application/json"}
            others = operation.said["requestBody"].get("description", "")
            said[operation.said["operationId"]] = re.findall("`(.+?)`", others)
    patches = {operation.said["operationId"] for operation in OPERATIONS if operation.method == "patch"}
    assert {name for name, others in said.items() if others == ["application/merge-patch+json"]} == patches
    assert said["login"] == ["application/x-www-form-urlencoded"]
    # What is said is what is read.
    for operation in OPERATIONS:
        if operation.body:
            route: Any = ROUTES[operation.name]
            assert [*operation.body, *said[operation.said["operationId"]]] == list(route.accepts)


def test_the_token_comes_from_the_address_that_the_document_names() -> None:
    schemes = dict(DOCUMENT["components"]["securitySchemes"])
    scheme, key = schemes.pop("bearer"), schemes.pop("apiKey")
    assert schemes == {}
    assert (key["type"], key["in"], key["name"]) == ("apiKey", "header", "X-API-Key")
    assert scheme["type"] == "oauth2"
    assert scheme["flows"]["password"]["tokenUrl"] in PATHS


@each_with_a_body
def test_its_body_may_have_no_unknown_members(operation: Operation) -> None:
    for content in operation.body.values():
        assert followed(content["schema"])["additionalProperties"] is False


def test_the_document_is_the_same_each_time() -> None:
    assert create_app(SETTINGS).openapi() == DOCUMENT
