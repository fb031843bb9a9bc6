"""What the events in the table ask of NATS: their subjects, and the size of the largest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from outbox_notify.operations.doctor.findings import Subject, Verdict, ok
from outbox_notify.operations.doctor.looking import looking
from outbox_notify.subjects import subject_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from outbox_notify.config.settings import Settings

# Headers that the relay adds to those of the row, and the lines around them.
_OUR_HEADERS = 600

EVENTS: Subject[Events] = Subject("events", "outbox-notify status")


@dataclass(frozen=True)
class Route:
    """Where an event goes."""

    tenant_id: str
    event_type: str


@dataclass(frozen=True)
class Largest:
    """An event that waits, and its bytes: body and headers of the row."""

    id: int
    bytes: int

    @property
    def message(self) -> int:
        """About how many bytes its message has."""
        return self.bytes + _OUR_HEADERS


@dataclass(frozen=True)
class Events:
    """What was seen of the events.

    Args:
        routes: of a part of them; see doctor_subjects.sql.
        largest: None when nothing waits.
    """

    routes: Sequence[Route] = ()
    largest: Largest | None = None

    def subjects(self, prefix: str) -> list[str]:
        """Return the subjects of the routes."""
        return [subject_of(prefix, route.tenant_id, route.event_type) for route in self.routes]

    @property
    def tenants(self) -> list[str]:
        """The tenants of the routes."""
        return sorted({route.tenant_id for route in self.routes})


def look(conn: psycopg.Connection, settings: Settings) -> Events:
    """Look at a part of the table.

    Raises:
        OutboxError: the server does not answer, or refuses.
    """
    with looking(conn, settings.schema) as outbox:
        routes = outbox.rows("doctor_subjects", Route)
        largest = outbox.rows("doctor_largest", Largest)
    return Events(routes, next(iter(largest), None))


@EVENTS.check
def seen(events: Events) -> Verdict:
    """Tell of how many routes events were seen: streams are looked at for these."""
    return ok(f"routes: {len(events.routes)}, tenants: {len(events.tenants)}")
