"""A way to PostgreSQL that breaks at a chosen moment."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from sqlalchemy.engine import make_url

CONNECT_TIMEOUT = 10


class StallingProxy:
    """Passes on what a service and PostgreSQL say to each other, until one says what it was told to hold back."""

    def __init__(self, database_url: str) -> None:
        self._database = make_url(database_url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._holding: tuple[str, bytes] | None = None
        self._held = threading.Event()
        self._sockets: list[socket.socket] = []
        port = self._listener.getsockname()[1]
        through = self._database.set(host="127.0.0.1", port=port, query={})
        self.url = through.render_as_string(hide_password=False)
        """The address of the same database, through here."""

        threading.Thread(target=self._accept, daemon=True).start()

    def hold_back(self, *, query: bytes = b"", answer: bytes = b"") -> threading.Event:
        """From now on do not pass on a query, or an answer, that holds these bytes; the event tells when it came."""
        self._holding = ("query", query) if query else ("answer", answer)
        return self._held

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = self._connect()
                self._sockets += [client, server]
                for source, target, kind in ((client, server, "query"), (server, client, "answer")):
                    threading.Thread(target=self._pass_on, args=(source, target, kind), daemon=True).start()

    def _connect(self) -> socket.socket:
        directory, port = self._database.query.get("host"), self._database.port or 5432
        if directory is None:
            return socket.create_connection((self._database.host or "localhost", port), CONNECT_TIMEOUT)
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{directory}/.s.PGSQL.{port}")
        return server

    def _pass_on(self, source: socket.socket, target: socket.socket, kind: str) -> None:
        with suppress(OSError):
            while said := source.recv(65536):
                if self._holding is not None and self._holding[0] == kind and self._holding[1] in said:
                    self._held.set()
                    # Neither this nor anything after it; whoever waits for it notices nothing but silence.
                    continue
                target.sendall(said)
        # Who hung up on one side is gone from the other.
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for end in (self._listener, *self._sockets):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
