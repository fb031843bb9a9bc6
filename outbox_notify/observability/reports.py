"""One report, several takers: logs, metrics and health hear the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outbox_notify.relay.ports import Report

# Counted and timed, but not worth a line each.
UNSPOKEN = frozenset({"batch.answered", "claim.empty", "database.asked", "database.looked", "relay.woken"})


def to_each(*takers: Report) -> Report:
    """Return what hands a report to each of them, in this order."""

    def report(event: str, /, **facts: object) -> None:
        for taker in takers:
            taker(event, **facts)

    return report
