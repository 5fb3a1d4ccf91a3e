"""What requests cost that want to cost much: for every operation of the OpenAPI document, against an ordinary read."""

import asyncio
import contextlib
import http.client
import json
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks import data, processes
from benchmarks.attacks import Attack, attacks, targets, tokens
from benchmarks.contender import BY_NAME, Running
from benchmarks.data import Scale, login_name, project_id
from benchmarks.report import heading
from benchmarks.run import machine, say
from benchmarks.server import Address, BenchmarkError, fresh_database

MOST = 10.0
"""How many ordinary reads a request may cost at most. Of somebody who is signed in also twice what the largest ordinary
request of its operation costs: that much the documented bounds explain.
"""

READS = 100
"""Ordinary reads by which all else is measured."""

SETTLE = 0.001
"""Seconds that the processes get after an answer to come to rest."""

ENVIRONMENT = {
    # What hashing a password costs is a setting, and how many at a time another: here it would only hide the rest.
    "TALLER_ARGON2_TIME_COST": "1",
    "TALLER_ARGON2_MEMORY_COST": "8",
    "TALLER_REGISTRATION": "open",
    # Whoever is refused by a count costs nothing more.
    "TALLER_LOGIN_FAILURES_PER_ACCOUNT": "1000000",
    "TALLER_LOGIN_FAILURES_PER_ADDRESS": "1000000",
    "TALLER_REGISTRATIONS_PER_ADDRESS": "1000000",
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What one kind of request costs."""

    operation: str
    kind: str
    caller: str
    """`nobody` or `somebody`."""

    status: int
    """0 where the connection was closed without an answer."""

    application: float
    """Processor time in microseconds: the median of several."""

    database: float
    is_plain: bool

    @property
    def total(self) -> float:
        """Of both."""
        return self.application + self.database


@dataclass(frozen=True, slots=True)
class Hostile:
    """What was found out."""

    machine: dict[str, Any]
    read: float
    """Microseconds of processor time that an ordinary read costs."""

    costs: list[Cost]

    def worst(self, operation: str, caller: str, *, is_plain: bool = False) -> Cost | None:
        """Return the dearest request of an operation; of the merely large ones, or of all others."""
        found = [cost for cost in self.costs if (cost.operation, cost.caller) == (operation, caller)]
        return max((cost for cost in found if cost.is_plain is is_plain), key=lambda cost: cost.total, default=None)

    def excesses(self) -> Iterator[Cost]:
        """Yield what costs more than it may."""
        for cost in self.costs:
            plain = self.worst(cost.operation, cost.caller, is_plain=True)
            allowed = MOST * self.read
            if cost.caller == "somebody" and plain is not None:
                allowed = max(allowed, 2 * plain.total)
            if cost.total > allowed and not (cost.is_plain and cost.caller == "somebody"):
                yield cost


@dataclass(frozen=True, slots=True)
class Spent:
    """One answer, and the microseconds that application and database worked for it."""

    status: int
    tag: str
    application: float
    database: float


class Client:
    """Sends requests over one connection and reads what they cost from /proc."""

    def __init__(self, running: Running, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._running, self._connection = running, connection
        self._http: http.client.HTTPConnection | None = None
        self._backends: list[int] = []

    async def look(self) -> None:
        """Find the backends that serve the application."""
        rows = await self._connection.fetch(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'"
        )
        self._backends = [row["pid"] for row in rows]

    def cost(self, attack: Attack, headers: Sequence[tuple[str, str]]) -> Spent:
        """Send it."""
        if self._http is None:
            self._http = http.client.HTTPConnection("127.0.0.1", self._running.port, timeout=60)
            self._http.connect()
            time.sleep(SETTLE)
        application, database = self._spent()
        status, tag = self._sent(self._http, attack, headers)
        time.sleep(SETTLE)
        later, there = self._spent()
        return Spent(status, tag, (later - application) / 1000, (there - database) / 1000)

    def close(self) -> None:
        """End the connection."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def _sent(
        self, connection: http.client.HTTPConnection, attack: Attack, headers: Sequence[tuple[str, str]]
    ) -> tuple[int, str]:
        lines = [f"{attack.method} {attack.target} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in (*headers, *attack.headers)]
        if attack.body or attack.method in {"POST", "PUT", "PATCH"}:
            lines.append(f"Content-Length: {len(attack.body)}")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        try:
            # A server that refuses may close before it has read everything, and its answer still be read.
            with contextlib.suppress(ConnectionError):
                connection.sock.sendall(head + attack.body)
            response = http.client.HTTPResponse(connection.sock, method=attack.method)
            response.begin()
            response.read()
        except (http.client.HTTPException, ConnectionError):
            self.close()
            return 0, ""
        if response.will_close or response.status == 413:
            self.close()
        return response.status, response.headers.get("ETag", '"none"')

    def _spent(self) -> tuple[int, int]:
        application = sum(processes.nanoseconds(pid) for pid in processes.tree(self._running.pid))
        return application, sum(processes.nanoseconds(pid) for pid in self._backends)


def hostile(scale: Scale, directory: Path, operations: Sequence[str] = (), *, times: int = 3) -> Hostile:
    """Send every attack so often; of every operation, or of these."""
    logs = directory / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    where = machine()
    with fresh_database(directory) as address:
        data.build(address, scale, {"taller": BY_NAME["taller"].password_hash()})
        return asyncio.run(_hostile(address, logs, where, operations, times))


async def _hostile(
    address: Address, logs: Path, where: dict[str, Any], operations: Sequence[str], times: int
) -> Hostile:
    taller = BY_NAME["taller"]
    taller = replace(taller, environment={**taller.environment, **ENVIRONMENT})
    connection = await asyncpg.connect(address.dsn)
    running = Running(taller, taller.install(), address, logs)
    client = Client(running, connection)
    try:
        where["postgresql"] = await connection.fetchval("SHOW server_version")
        # So that no operation refuses the caller.
        await connection.execute("UPDATE users SET is_superuser = true WHERE username = $1", login_name(taller.name, 0))
        running.start()
        document = running.request("GET", "/openapi.json")[1]
        known = [target.name for target in targets(document, "0")]
        if unknown := set(operations) - set(known):
            raise BenchmarkError(f"no such operation: {', '.join(sorted(unknown))} (there are {', '.join(known)})")
        costs: list[Cost] = []
        read = await _read(client, running)
        for name in operations or known:
            await client.look()
            found = [*_measured(client, running, document, name, times)]
            costs += found
            worst = max(found, key=lambda cost: cost.total)
            say(f"  {name:<22} {len(found):4} kinds; worst {worst.total / read:7.1f} × a read: {worst.kind}")
            if running.has_ended:
                raise BenchmarkError(f"the service ended during {name}:\n{running.log_tail()}")
        return Hostile(where, (read + await _read(client, running)) / 2, costs)
    finally:
        client.close()
        running.stop()
        await connection.close()


async def _read(client: Client, running: Running) -> float:
    """Return what an ordinary read costs."""
    attack = Attack("read", "GET", f"/api/v1/projects/{project_id(1)}")
    signed_in = (("Authorization", running.authorization()),)
    for _ in range(20):
        client.cost(attack, signed_in)
    await client.look()
    spent = [client.cost(attack, signed_in) for _ in range(READS)]
    if any(one.status != 200 for one in spent):
        raise BenchmarkError(f"an ordinary read fails:\n{running.log_tail()}")
    return statistics.median(one.application + one.database for one in spent)


def _measured(client: Client, running: Running, document: Mapping[str, Any], name: str, times: int) -> Iterator[Cost]:
    """Yield the cost of every attack on an operation, by nobody and by somebody."""
    rounds = []
    for number in range(times):
        salt = f"{time.monotonic_ns() + number:x}"
        (target,) = (target for target in targets(document, salt) if target.name == name)
        rounds.append((salt, list(attacks(target))))
    tag = client.cost(rounds[0][1][0], _caller(running, "somebody")).tag
    for position, attack in enumerate(rounds[0][1]):
        for caller in ("nobody", "somebody"):
            sent = [(listed[position], _caller(running, caller)) for _, listed in rounds]
            yield _cost(client, running, name, caller, sent)
        if position == 0:
            for wanted in ("If-None-Match", "If-Match"):
                named = replace(attack, kind=f"{wanted}: its tag", headers=(*attack.headers, (wanted, tag)))
                yield _cost(client, running, name, "somebody", [(named, _caller(running, "somebody"))] * times)
    # With a token that is refused, nobody is still nobody.
    for index, (kind, _) in enumerate(tokens("0")):
        sent = []
        for salt, listed in rounds:
            token = [*tokens(salt)][index][1]
            sent.append((replace(listed[0], kind=kind, is_plain=False), (("Authorization", f"Bearer {token}"),)))
        yield _cost(client, running, name, "nobody", sent)


def _cost(
    client: Client,
    running: Running,
    name: str,
    caller: str,
    sent: Sequence[tuple[Attack, Sequence[tuple[str, str]]]],
) -> Cost:
    found = []
    for attack, headers in sent:
        spent = client.cost(attack, headers)
        if caller == "somebody" and spent.status == HTTPStatus.UNAUTHORIZED:
            # One of the requests before has ended the session.
            running.sign_in_anew()
            spent = client.cost(attack, _caller(running, caller))
        found.append(spent)
    return Cost(
        name,
        sent[0][0].kind,
        caller,
        found[0].status,
        statistics.median(spent.application for spent in found),
        statistics.median(spent.database for spent in found),
        sent[0][0].is_plain,
    )


def _caller(running: Running, caller: str) -> Sequence[tuple[str, str]]:
    return (("Authorization", running.authorization()),) if caller == "somebody" else ()


def publish(found: Hostile, directory: Path) -> None:
    """Print what was found out and store it. Raises `BenchmarkError` if the service answered 5xx."""
    directory.mkdir(parents=True, exist_ok=True)
    name = f"{str(found.machine['date'])[:10]}-hostile"
    excesses = list(found.excesses())
    stored = {
        "machine": found.machine,
        "read_microseconds": round(found.read, 1),
        "excesses": [asdict(cost) for cost in excesses],
        "costs": [asdict(cost) for cost in found.costs],
    }
    (directory / f"{name}.json").write_text(json.dumps(stored, indent=1) + "\n")
    text = "\n".join([heading(found.machine), "", *_table(found), "", *_verdict(found, excesses), ""])
    (directory / f"{name}.md").write_text(f"# Hostile requests, {name[:10]}\n\n{text}")
    print(text)
    if failed := {cost.operation for cost in found.costs if cost.status >= 500}:
        raise BenchmarkError(f"the service answered 5xx: {', '.join(sorted(failed))}")


def _table(found: Hostile) -> Iterator[str]:
    kinds = len({(cost.operation, cost.kind) for cost in found.costs})
    yield f"An ordinary read costs {found.read:.0f} µs of processor time, application and database together: 1.0 below."
    yield f"{kinds} requests of {len(found.costs)} kinds and callers were tried."
    yield ""
    yield "| operation | worst by nobody | kind | worst by somebody | kind | largest ordinary |"
    yield "|---|---:|---|---:|---|---:|"
    for operation in dict.fromkeys(cost.operation for cost in found.costs):
        nobody, somebody = found.worst(operation, "nobody"), found.worst(operation, "somebody")
        plain = found.worst(operation, "somebody", is_plain=True)
        cells = [f"`{operation}`"]
        for cost in (nobody, somebody):
            cells += ["", ""] if cost is None else [f"{cost.total / found.read:.1f}", f"{cost.kind} ({cost.status})"]
        yield f"| {' | '.join([*cells, '' if plain is None else f'{plain.total / found.read:.1f}'])} |"


def _verdict(found: Hostile, excesses: Sequence[Cost]) -> Iterator[str]:
    for cost in found.costs:
        if cost.status >= 500:
            yield f"- answered {cost.status}: `{cost.operation}` by {cost.caller}, {cost.kind}"
    if not excesses:
        yield f"No request costs more than {MOST:.0f} reads, or twice the largest ordinary request of its operation."
        return
    yield f"More than {MOST:.0f} reads, and more than twice the largest ordinary request of the operation:"
    yield ""
    for cost in sorted(excesses, key=lambda cost: -cost.total):
        yield (
            f"- `{cost.operation}` by {cost.caller}, {cost.kind}: {cost.total / found.read:.1f} "
            f"({cost.application / 1000:.1f} ms + {cost.database / 1000:.1f} ms, answered {cost.status})"
        )
