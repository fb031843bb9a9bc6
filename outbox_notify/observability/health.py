"""Whether the relay can do its work, and if not, why: told from its own reports, so that asking costs nothing."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from outbox_notify.errors import DatabaseUnreachable, NotPermitted, SchemaError
from outbox_notify.relay.outcomes import Failed, Outcome, Published

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from outbox_notify.errors import OutboxError
    from outbox_notify.observability.look import Look
    from outbox_notify.relay.claims import ClaimedEvent


class Trouble(NamedTuple):
    """What stands in the way of the relay's work."""

    component: str
    reason: str


class Health:
    """Remembers what is wrong.

    Args:
        listens: whether this relay uses NOTIFY at all.
        patience: seconds that due events may wait without any getting through; everything that mends itself, a lease
            of a dead relay among it, has to fit in.
        resting: returns the routes that rest, with the reason of each.
        clock: a steady clock, seconds.
    """

    def __init__(
        self,
        *,
        listens: bool,
        patience: float,
        resting: Callable[[], Mapping[str, str]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience = patience
        self._resting = resting
        self._clock = clock
        self._wrong = {"postgres": "it has not answered yet", "nats": "not connected yet"}
        if listens:
            self._wrong["wake"] = "not listening yet"
        self._moved_at = self._looked_at = clock()
        self._found_nothing_at = -math.inf
        self._oldest_age = 0.0

    def __call__(self, event: str, /, **facts: Any) -> None:
        """Take note of an event of the relay."""
        match event:
            case "database.asked":
                self._asked(facts["error"])
            case "database.looked":
                self._looked(facts["look"])
            case "claim.empty":
                self._found_nothing_at = self._clock()
            case "batch.settled":
                self._settled(**facts)
            case "outage.started" | "outage.continues":
                self._wrong[facts["component"]] = facts["reason"]
            case "outage.ended" | "nats.connected":
                self._wrong.pop(facts["component"], None)
            case "wake.lost":
                self._wrong["wake"] = facts["reason"]
            case "wake.ready":
                self._wrong.pop("wake", None)
            case "relay.stopping":
                self._wrong["relay"] = "it is stopping"

    def troubles(self) -> list[Trouble]:
        """Return everything that is wrong; nothing when the relay is ready."""
        found = [Trouble(component, reason) for component, reason in self._wrong.items()]
        waiting = self._waiting_for()
        if waiting > self._patience:
            found.append(Trouble("progress", f"events are due, and none got through for {waiting:.0f} s"))
            found += [Trouble("route", f"{route}: {reason}") for route, reason in self._resting().items()]
        return found

    def _waiting_for(self) -> float:
        """Return for how long due events have waited without any getting through, and a claim found them."""
        now = self._clock()
        idle = -math.inf if self._resting() else self._found_nothing_at
        moved = max(self._moved_at, idle)
        if not self._oldest_age or moved > self._looked_at:
            return 0.0
        return min(now - moved, self._oldest_age + now - self._looked_at)

    def _asked(self, error: OutboxError | None) -> None:
        if error is None:
            self._wrong.pop("postgres", None)
            self._wrong.pop("schema", None)
        elif isinstance(error, SchemaError):
            self._wrong["schema"] = str(error)
        elif isinstance(error, DatabaseUnreachable | NotPermitted):
            self._wrong["postgres"] = str(error)

    def _looked(self, look: Look) -> None:
        self._looked_at, self._oldest_age = self._clock(), look.oldest_pending_age

    def _settled(self, outcomes: Mapping[ClaimedEvent, Outcome], overtaken: int) -> None:
        if overtaken < len(outcomes) and any(
            isinstance(outcome, Published | Failed) for outcome in outcomes.values()
        ):
            self._moved_at = self._clock()
