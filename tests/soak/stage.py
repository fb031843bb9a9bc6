"""What a soak is about: both servers, three relays, and the lines between them, which can be cut."""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from outbox_notify.embedded import EmbeddedNats, EmbeddedPostgres
from tests.soak.plan import LEASE, RELAYS
from tests.soak.relays import STOPS_WITHIN, Relay
from tests.support.postgres import SETTINGS, migrate
from tests.support.processes import wait_for
from tests.support.proxy import Proxy
from tests.support.stream import create_stream

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

# Nobody but a commit that waits writes the log to disk: what does not wait is gone after a crash.
_LAZY = {"wal_writer_delay": "10s", "wal_writer_flush_after": "1GB"}
_QUICK = {
    "OUTBOX_LEASE": f"{LEASE:g}s",
    "OUTBOX_SWEEP_INTERVAL": "1s",
    "OUTBOX_PUBLISH_TIMEOUT": "2s",
    "OUTBOX_SHUTDOWN_TIMEOUT": "5s",
    # It finds events that crash relays. Here every crash takes hundreds that do not, some of them time after time.
    "OUTBOX_MAX_CLAIMS": "50",
    "OUTBOX_HTTP": "off",
}
# As the relay's own stream, but for batches, which a plain one does not allow.
_STREAM: dict[str, Any] = {"duplicate_window": 600 * 10**9, "allow_direct": True}
_BATCHES = {"allow_atomic": True, "allow_batched": True}


class Stage:
    """Servers and relays; as a context manager they start, and leave nothing behind.

    Args:
        folder: for logs.
        distance: of NATS from the relays, seconds one way.
        batched: whether the stream allows batches.
        version: of PostgreSQL.

    What relays did that they never should is added to `problems`.
    """

    def __init__(self, folder: Path, *, distance: float, batched: bool, version: int) -> None:
        self.folder = folder
        self._distance = distance
        self.postgres = EmbeddedPostgres(version, {**SETTINGS, **_LAZY})
        self.nats = EmbeddedNats()
        self.relays: list[Relay] = []
        self.problems: list[str] = []
        self._stream = {**_STREAM, **(_BATCHES if batched else {})}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            opening.enter_context(self.postgres)
            opening.enter_context(self.nats)
            migrate(self.postgres.url)
            create_stream(self.nats.url, "events.>", **self._stream)
            self.relays = [self._relay(name, opening) for name in RELAYS]
            self._open = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server, name in ((self.postgres, "postgres"), (self.nats, "nats")):
            shutil.copy(server.log_path, self.folder / f"{name}.log")
        self._open.close()

    def relay(self, name: str) -> Relay:
        """Return a relay by its name."""
        return next(relay for relay in self.relays if relay.name == name)

    def look_after_relays(self) -> None:
        """Note relays that have ended without being told to, and start them again."""
        for relay in filter(lambda relay: relay.deserted, self.relays):
            self.problems.append(f"{relay.process.output.name}: ended by itself")
            relay.start()

    def stop_relays(self) -> None:
        """Stop the relays in an orderly way, once they are there; what is wrong with that is a problem."""
        wait_for(lambda: all(relay.there for relay in self.relays), STOPS_WITHIN, "the relays to be there")
        for relay in self.relays:
            relay.tell_to_stop()
        deadline = time.monotonic() + STOPS_WITHIN
        ends = [relay.stopped(max(0.1, deadline - time.monotonic())) for relay in self.relays]
        self.problems += [end for end in ends if end is not None]

    def _relay(self, name: str, opening: ExitStack) -> Relay:
        postgres = opening.enter_context(Proxy(self.postgres.port))
        nats = opening.enter_context(Proxy(self.nats.port))
        settings = {
            **_QUICK,
            "OUTBOX_DATABASE_URL": self.postgres.url.replace(f":{self.postgres.port}/", f":{postgres.port}/"),
            "OUTBOX_NATS_URL": f"nats://127.0.0.1:{nats.port}",
        }
        relay = Relay(name, self.folder, postgres, nats, distance=self._distance, settings=settings)
        relay.restore()
        relay.start()
        opening.callback(relay.kill)
        return relay
