"""The check of one operation: it answers every caller as its guard and its document say, and tells nobody what they may
not know.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from httpx2 import Response

from app.core.database.database import Database
from app.core.ids import uuid7
from app.core.preconditions.headers import IF_MATCH
from tests.access.declared import DeclaredAnswer, declared_answers, differences, resolved
from tests.access.scenario import CALLERS, Scenario, fingerprint, ids_of, new_scenario, person_of, stored
from tests.access.table import Row
from tests.support.client import Api


@dataclass(frozen=True, eq=False)
class Operation:
    """An operation of the OpenAPI document."""

    name: str
    method: str
    path: str
    scope: str | None
    body: Mapping[str, Any]
    """The properties of its JSON body."""

    id_inputs: frozenset[str]
    query_ids: frozenset[str]
    """Those that are parameters of its query."""

    takes_body: bool
    takes_preconditions: bool
    is_list: bool
    answers: Mapping[int, DeclaredAnswer]
    """What it declares, by status."""


def operations_of(document: Mapping[str, Any]) -> dict[str, Operation]:
    """Every operation, by its id."""
    found = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {})
            schema = resolved(document, content.get("application/json", {}).get("schema", {}))
            properties = schema.get("properties", {})
            parameters = operation.get("parameters", [])
            named = [item for item in parameters if item["name"] == "username" or _is_id(item["schema"])]
            ids = {item["name"] for item in named}
            ids |= {name for name, property_ in properties.items() if _is_id(property_)}
            scopes = {scope for way in operation["security"] for scopes in way.values() for scope in scopes}
            assert len(scopes) <= 1, f"{operation['operationId']} needs {scopes}"
            found[operation["operationId"]] = Operation(
                name=operation["operationId"],
                method=method.upper(),
                path=path,
                scope=next(iter(scopes), None),
                body=properties,
                id_inputs=frozenset(ids),
                query_ids=frozenset(item["name"] for item in named if item["in"] == "query"),
                takes_body=bool(content),
                takes_preconditions=any(item["name"] == IF_MATCH for item in parameters),
                is_list=any(item["name"] == "cursor" for item in parameters),
                answers=declared_answers(document, operation),
            )
    return found


def _is_id(schema: Mapping[str, Any]) -> bool:
    return any(part.get("format") == "uuid" for part in (schema, *schema.get("anyOf", ())))


# What is wrong with a request besides who sends it. Only the last applies where there is no body.
BROKEN: dict[str, dict[str, Any]] = {
    "broken JSON": {"content": b"{", "headers": {"Content-Type": "application/json"}},
    "no object": {"content": b"[1]", "headers": {"Content-Type": "application/json"}},
    "an unknown member": {"json": {"nonsense": 1}},
    "another media type": {"content": b"x", "headers": {"Content-Type": "text/plain"}},
    "an unknown parameter": {"params": {"nonsense": "1"}},
}
UNMET: dict[str, dict[str, Any]] = {
    "a malformed precondition": {"headers": {"If-Match": "nonsense"}},
    "a precondition that does not hold": {"headers": {"If-Match": '"nonsense"'}},
}
"""Where the operation looks at preconditions."""


async def offences(app: FastAPI, operation: Operation, row: Row, *, until: str | None = None) -> list[str]:
    """Where an operation answers otherwise than its guard or its document says, one line each.

    Who looks for a line that has `until` in it gets those up to the first one.
    """
    found = _disagreements(operation, row)
    async with Api(app) as api:
        examination = _Examination(app, api, operation, row, await new_scenario(app, row.scope), until)
        with suppress(_FoundError):
            await examination.run()
    return [*found, *dict.fromkeys(examination.found)]


def _disagreements(operation: Operation, row: Row) -> list[str]:
    found = []
    if operation.scope != row.scope:
        found.append(f"{operation.name}: documents the scope {operation.scope} instead of {row.scope}")
    if operation.id_inputs != set(row.hidden):
        found.append(
            f"{operation.name}: takes the ids {set(operation.id_inputs)}, and {set(row.hidden)} are known: "
            f"add the others to `hidden` in {row.file}"
        )
    if operation.takes_body and row.body is None:
        found.append(f"{operation.name}: add a body that it takes to `bodies` in {row.file}")
    if set(row.answers) != set(CALLERS):
        found.append(f"{operation.name}: its row forgets {set(CALLERS) - set(row.answers)}")
    return found


class _FoundError(Exception):
    """What was looked for is found."""


class _Examination:
    """What one operation answers, in a scenario that requests change only where they are admitted."""

    def __init__(
        self, app: FastAPI, api: Api, operation: Operation, row: Row, scenario: Scenario, until: str | None
    ) -> None:
        self._app = app
        self._api = api
        self._operation = operation
        self._row = row
        self._scenario = scenario
        self._until = until
        self.found: list[str] = []

    async def run(self) -> None:
        """Ask as everybody."""
        database = self._app.state.services[Database]
        before = await fingerprint(database)
        await self._refused()
        for name in self._row.hidden:
            await self._tells(name)
        await self._not_understood()
        if await fingerprint(database) != before:
            self._note("something was changed by a request that was refused")
        for caller in self._callers(is_admitted=True):
            await self._renew()
            answer = await self._compared(caller)
            if self._operation.is_list and answer.is_success:
                self._shows(caller, answer)
        for caller, answer_to_own in self._row.own.items():
            await self._renew()
            person = self._scenario.people[caller]
            place = await stored(database, self._scenario.here.project, person, self._scenario.here.member)
            ids = {"user_id": person.id, **ids_of(place)}
            answer = await self._ask(caller, self._whole(), ids)
            if said(answer) != answer_to_own:
                self._note(f"{caller} about their own: {said(answer)} instead of {answer_to_own}")

    async def _renew(self) -> None:
        if self._operation.method != "GET":
            self._scenario = await new_scenario(self._app, self._row.scope)

    def _note(self, what: str) -> None:
        self.found.append(f"{self._operation.name}: {what}")
        if self._until is not None and self._until in what:
            raise _FoundError

    def _callers(self, *, is_admitted: bool) -> list[str]:
        return [caller for caller, answer in self._row.answers.items() if (answer == "ok") == is_admitted]

    async def _refused(self) -> None:
        """Whoever is refused is refused in the same way, whatever else is wrong with the request."""
        for caller in self._callers(is_admitted=False):
            for name, options in self._requests():
                await self._compared(caller, name, options)

    async def _not_understood(self) -> None:
        """Whoever is admitted is told what is wrong with the request: what is sent as wrong is wrong."""
        for caller in self._callers(is_admitted=True):
            for name, options in self._requests()[1:]:
                answer = await self._ask(caller, options)
                if answer.status_code not in {400, 412, 415}:
                    self._note(f"{caller} with {name}: {said(answer)} instead of a complaint")

    async def _compared(
        self, caller: str, name: str = "nothing wrong", options: dict[str, Any] | None = None
    ) -> Response:
        answer = await self._ask(caller, self._whole() if options is None else options)
        if (was := said(answer)) != self._row.answers[caller]:
            self._note(f"{caller} with {name}: {was} instead of {self._row.answers[caller]}")
        return answer

    def _whole(self) -> dict[str, Any]:
        return {} if self._row.body is None else {"json": self._row.body(self._scenario)}

    def _requests(self) -> list[tuple[str, dict[str, Any]]]:
        """The request as it should be, and then with everything that can be wrong with it."""
        whole = self._whole()
        broken = [("an unknown parameter", whole | BROKEN["an unknown parameter"])]
        if self._operation.takes_body:
            broken = [(name, whole | options if "params" in options else options) for name, options in BROKEN.items()]
        if self._operation.takes_preconditions:
            broken += [(name, whole | options) for name, options in UNMET.items()]
        return [("nothing wrong", whole), *broken]

    async def _tells(self, name: str) -> None:
        """Where an answer depends on whether something exists that the caller may not know of."""
        hidden = self._row.hidden[name]
        for caller in hidden.callers:
            for wrong, options in self._requests():
                answers = []
                for value in (
                    hidden.value(self._scenario),
                    f"nobody-{uuid7()}"[:32] if name == "username" else uuid7(),
                ):
                    request = dict(options)
                    if name in self._operation.query_ids:
                        request["params"] = request.get("params", {}) | {name: str(value)}
                    elif f"{{{name}}}" not in self._operation.path and "json" in request:
                        request["json"] = request["json"] | {name: str(value)}
                    answers.append(await self._ask(caller, request, {name: value}))
                there, missing = answers
                if (there.status_code, stripped(there)) != (missing.status_code, stripped(missing)):
                    self._note(f"{caller} with {wrong} can tell by {name}: {said(there)} / {said(missing)}")
                elif wrong == "nothing wrong" and said(there) != hidden.answer:
                    self._note(f"{caller} by {name}: {said(there)} instead of {hidden.answer}")

    def _shows(self, caller: str, answer: Response) -> None:
        """What a page of a list shows is in what its path names, and is something that the caller may see."""
        scenario, inputs = self._scenario, {part[1:-1] for part in self._operation.path.split("/") if part[:1] == "{"}
        everywhere = (scenario.here, scenario.beside, scenario.elsewhere, scenario.foreign)
        if inputs & scenario.here.things.keys():
            allowed: tuple[Any, ...] = (scenario.here,)
        elif "project_id" in inputs:
            allowed = (scenario.here, scenario.beside)
        else:
            allowed = scenario.visible(caller)
        shown = {id_ for place in allowed for id_ in ids_of(place).values()}
        hidden = {id_ for place in everywhere for id_ in ids_of(place).values()} - shown
        if scenario.foreign not in allowed:
            hidden |= {scenario.foreign.project.id, scenario.people["foreigner"].id}
        mine = person_of(caller)
        hidden |= {
            own.id for kinds in (scenario.sessions, scenario.keys) for name, own in kinds.items() if name != mine
        }
        items = answer.json()["items"]
        values = {str(value) for item in items for value in item.values()}
        if values & {str(id_) for id_ in hidden}:
            self._note(f"{caller} is shown what is not in this list, or not theirs to see")
        if not items and allowed:
            self._note(f"{caller} is shown nothing: let `things` in {self._row.file} make one of each kind")

    async def _ask(self, caller: str, options: dict[str, Any], ids: Mapping[str, object] | None = None) -> Response:
        named = {name: value(self._scenario) for name, value in self._row.ids.items()}
        answer = await ask(self._api, self._operation, self._scenario, caller, options, {**named, **(ids or {})})
        for difference in differences(self._operation.answers, answer):
            self._note(difference)
        return answer


async def ask(
    api: Api,
    operation: Operation,
    scenario: Scenario,
    caller: str,
    options: dict[str, Any],
    ids: Mapping[str, object] | None = None,
) -> Response:
    """The answer to a request by this caller, about what is in the scenario unless `ids` name other things."""
    values = {**scenario.ids(caller), **(ids or {})}
    headers = {**scenario.headers[caller], **options.get("headers", {})}
    return await api.request(operation.method, operation.path.format_map(values), **{**options, "headers": headers})


def said(answer: Response) -> str:
    """An answer in the words of the table."""
    if answer.is_success:
        return "ok"
    problem = answer.json()
    words = [str(answer.status_code), problem["code"]]
    if answer.status_code == 401 and not answer.headers.get("www-authenticate", "").startswith("Bearer"):
        words.append("without WWW-Authenticate")
    if problem["code"] == "insufficient_scope":
        words.append(answer.headers.get("www-authenticate", "").partition('scope="')[2].rstrip('"'))
    if problem["code"] == "role_required":
        words.append(problem["detail"].partition("the role ")[2].partition(" ")[0])
    return " ".join(filter(None, words))


def stripped(answer: Response) -> dict[str, Any] | None:
    """The body without what differs by the address asked for."""
    if not answer.content:
        return None
    return {name: value for name, value in answer.json().items() if name not in {"instance", "request_id"}}
