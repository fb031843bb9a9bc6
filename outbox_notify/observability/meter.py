"""Turns what the relay reports into numbers."""

from __future__ import annotations

import time
from collections import Counter
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from outbox_notify.errors import DatabaseUnreachable
from outbox_notify.observability import catalog
from outbox_notify.observability.errors import kind_of_error
from outbox_notify.observability.latency import spread_of_ages
from outbox_notify.relay.outcomes import Failed, Outcome, Published, Released, Rested, Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from outbox_notify.errors import OutboxError
    from outbox_notify.observability.look import Look
    from outbox_notify.observability.tally import Tally
    from outbox_notify.relay.claims import ClaimedEvent

_DUPLICATE = attrgetter("duplicate")


class Meter:
    """Counts reports.

    Args:
        tally: where the numbers go.
        listens: whether this relay uses NOTIFY at all.
        clock: seconds since 1970.
    """

    def __init__(self, tally: Tally, *, listens: bool, clock: Callable[[], float] = time.time) -> None:
        self._tally = tally
        self._clock = clock
        self._database_ahead = 0.0
        self._was_up: set[str] = set()
        self._take: dict[str, Callable[..., None]] = {
            "batch.answered": self._answered,
            "batch.settled": self._settled,
            "lease.expired": self._reclaimed,
            "events.pruned": lambda events: tally.add(catalog.PRUNED, by=events),
            "relay.woken": lambda by: tally.add(catalog.WAKEUPS, by),
            "database.asked": self._asked,
            "database.looked": self._looked,
            "outage.started": lambda component, **_: self._is_up(component, up=False),
            "outage.ended": lambda component, **_: self._is_up(component, up=True),
            "nats.connected": lambda component, **_: self._is_up(component, up=True),
            "wake.lost": lambda **_: self._is_up("wake", up=False),
            "wake.ready": lambda **_: self._is_up("wake", up=True),
        }
        for component in catalog.UP.values:
            tally.set(catalog.UP, component == "wake" and not listens, component)
        tally.set(catalog.LAST_ACK, 0.0)

    def __call__(self, event: str, /, **facts: Any) -> None:
        """Take note of an event of the relay."""
        if take := self._take.get(event):
            take(**facts)

    def _answered(self, outcomes: Mapping[ClaimedEvent, Outcome], seconds: float) -> None:
        """Take in a batch whose last ack has just come, before anything is written."""
        now, bounds = self._clock() + self._database_ahead, catalog.DELIVERY_LATENCY.bounds
        created = [event.created_at for event, outcome in outcomes.items() if type(outcome) is Published]
        self._tally.observe(catalog.PUBLISH_DURATION, seconds)
        self._tally.spreads[catalog.DELIVERY_LATENCY][""].add(*spread_of_ages(created, now, bounds))

    def _settled(self, outcomes: Mapping[ClaimedEvent, Outcome], overtaken: int) -> None:
        tally = self._tally
        if overtaken:
            tally.add(catalog.LEASES_LOST, by=overtaken)
        acked = [outcome for outcome in outcomes.values() if type(outcome) is Published]
        if acked:
            tally.add(catalog.PUBLISHED, by=len(acked))
            tally.add(catalog.DUPLICATES, by=sum(map(_DUPLICATE, acked)))
            tally.set(catalog.LAST_ACK, self._clock())
        if len(acked) < len(outcomes):
            self._came_back(outcomes, overtaken)

    def _came_back(self, outcomes: Mapping[ClaimedEvent, Outcome], overtaken: int) -> None:
        tally, kinds = self._tally, Counter(map(type, outcomes.values()))
        for reason, events in Counter(map(kind_of_error, outcomes.values())).items():
            if reason is not None:
                tally.add(catalog.PUBLISH_ERRORS, reason, by=events)
        if overtaken < len(
            outcomes
        ):  # else nothing was written: who holds them now decides what becomes of them
            tally.add(catalog.FAILED, by=kinds[Failed])
            tally.add(catalog.RETRIED, by=kinds[Retry])
            tally.add(catalog.RELEASED, by=kinds[Released] + kinds[Rested])

    def _reclaimed(self, reclaimed: int, failed: int) -> None:
        self._tally.add(catalog.LEASES_EXPIRED, by=reclaimed + failed)
        self._tally.add(catalog.FAILED, by=failed)

    def _asked(self, operation: str, seconds: float, error: OutboxError | None = None) -> None:
        self._tally.observe(catalog.DB_DURATION, seconds, operation)
        if error is None or isinstance(error, DatabaseUnreachable):
            self._is_up("postgres", up=error is None)

    def _looked(self, look: Look) -> None:
        tally = self._tally
        for state in catalog.BACKLOG.values:
            tally.set(catalog.BACKLOG, getattr(look, state), state)
        tally.set(catalog.COUNTED_TO, look.counted_to)
        tally.set(catalog.LOOKED_AT, self._clock())
        tally.set(catalog.TABLE_BYTES, look.table_bytes)
        tally.set(catalog.PAUSED, look.paused)
        tally.set(catalog.OLDEST_AGE, look.oldest_pending_age)
        tally.forget(catalog.OLDEST_PENDING)
        if look.oldest_pending is not None:
            tally.set(catalog.OLDEST_PENDING, look.oldest_pending)
        self._database_ahead = look.clock_ahead

    def _is_up(self, component: str, *, up: bool) -> None:
        was = self._tally.values[catalog.UP].get(component) == 1.0
        if up and not was and component in self._was_up:
            self._tally.add(catalog.RECONNECTS, component)
        if up:
            self._was_up.add(component)
        if up != was:
            self._tally.set(catalog.UP, float(up), component)
