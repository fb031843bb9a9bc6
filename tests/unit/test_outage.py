"""An outage is told once, however often it is noticed."""

from __future__ import annotations

from outbox_notify.relay.outage import Outage
from tests.support.fakes import Notes


def test_outage_is_told_once_with_each_reason_and_once_when_it_is_over() -> None:
    notes = Notes()
    outage = Outage("nats", notes)
    outage.end()
    for reason in ("lost", "refused", "refused", "not permitted"):
        outage.begin(reason)
    outage.end()
    outage.end()
    outage.begin("lost")
    assert notes.taken == [
        ("outage.started", {"component": "nats", "reason": "lost"}),
        ("outage.continues", {"component": "nats", "reason": "refused"}),
        ("outage.continues", {"component": "nats", "reason": "not permitted"}),
        ("outage.ended", {"component": "nats", "after": "not permitted"}),
        ("outage.started", {"component": "nats", "reason": "lost"}),
    ]
