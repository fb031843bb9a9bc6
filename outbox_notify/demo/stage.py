"""The demo's stage: embedded servers, a migrated database, and the relay as a process of its own."""

from __future__ import annotations

import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

import outbox_notify
from outbox_notify.embedded import EmbeddedServerError, EmbeddedServers, ServerProcess, log_tail
from outbox_notify.postgres.database import connect
from outbox_notify.postgres.queries import query
from outbox_notify.schema.migrate import migrate_up

if TYPE_CHECKING:
    from types import TracebackType

SCHEMA = "public"
STREAM = "OUTBOX"
SUBJECTS = "events.>"
# Longer than the relay takes to drain, and short enough for somebody who waits.
_STOP_TIMEOUT = 15


class Stage:
    """Everything that the demo needs, started by `with` and gone after it; from the main thread only."""

    def __init__(self) -> None:
        self.servers = EmbeddedServers()
        self._relay: ServerProcess | None = None
        self._started = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            starting.enter_context(self.servers)
            self._prepare_database()
            self._relay = self._start_relay()
            starting.callback(self.stop_relay)
            self._started = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._started.close()

    @property
    def relay_running(self) -> bool:
        """Whether the relay has not ended."""
        return self._relay is not None and self._relay.running

    @property
    def relay_log(self) -> Path:
        """The relay's log file."""
        return self.servers.nats.folder / "relay.log"

    def check(self) -> None:
        """Raise EmbeddedServerError when a server or the relay has ended by itself."""
        self.servers.check()
        if self._relay and not self._relay.running:
            raise EmbeddedServerError(
                f"the relay has ended ({self._relay.ending}): {log_tail(self.relay_log)}"
            )

    def kill_relay(self) -> None:
        """End the relay at once."""
        if self._relay:
            self._relay.kill()

    def stop_relay(self) -> None:
        """Let the relay drain, and return when it has ended."""
        if self._relay:
            self._relay.stop(signal.SIGTERM, timeout=_STOP_TIMEOUT)

    def _prepare_database(self) -> None:
        with connect(self.servers.postgres.url, "demo") as connection:
            migrate_up(connection, SCHEMA)
            connection.execute(query("demo_table", SCHEMA))

    def _start_relay(self) -> ServerProcess:
        # The relay runs the same code as we do, however Python found it.
        code = str(Path(outbox_notify.__file__).parents[1])
        settings = {**self.servers.settings(), "OUTBOX_STREAM": STREAM, "OUTBOX_HTTP": "off"}
        return ServerProcess(
            [sys.executable, "-m", "outbox_notify", "relay"],
            log=self.relay_log,
            cwd=self.servers.nats.folder,
            environment={**settings, "PYTHONPATH": code},
        )
