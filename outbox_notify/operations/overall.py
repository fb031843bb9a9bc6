"""PostgreSQL and NATS together, as `status` and HTTP show them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from outbox_notify.errors import OutboxError
from outbox_notify.operations.status import Status, document, read_status

if TYPE_CHECKING:
    import psycopg

    from outbox_notify.config.settings import Settings
    from outbox_notify.jetstream.facts import NatsFacts


@dataclass(frozen=True)
class Overall:
    """What both tell; in the place of NATS, why it could not be asked."""

    status: Status
    nats: NatsFacts | str

    def document(self) -> dict[str, Any]:
        """Return it as JSON's values: a documented contract of `status --json` and of HTTP's `/status`."""
        nats = {"reachable": False, "reason": self.nats} if isinstance(self.nats, str) else asdict(self.nats)
        return {**document(self.status), "nats": {"reachable": True, **nats}}


def read_overall(conn: psycopg.Connection, settings: Settings, *, timeout: float = 10) -> Overall:
    """Look at PostgreSQL and at NATS; that NATS is away is a fact like others.

    Args:
        conn: in autocommit mode.
        settings: schema, and how to reach NATS.
        timeout: seconds that any part of the look at PostgreSQL may take.

    Raises:
        OutboxError: PostgreSQL does not tell.
    """
    # Side by side: NATS may take its two seconds, and its library takes a while to load.
    with ThreadPoolExecutor(max_workers=1) as aside:
        nats = aside.submit(_nats, settings)
        status = read_status(conn, settings.schema, timeout=timeout)
        return Overall(status, nats.result())


def _nats(settings: Settings) -> NatsFacts | str:
    from outbox_notify.jetstream.facts import read_nats  # noqa: PLC0415  # loaded while PostgreSQL counts

    try:
        return read_nats(settings)
    except OutboxError as error:
        return str(error)
