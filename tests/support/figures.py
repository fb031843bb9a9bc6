"""What relays say of faults, and what the wire shows of them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.command import CommandProcess
    from tests.support.stream import Spy


def reclaims(*relays: CommandProcess) -> int:
    """Return how many events the relays took over from expired leases."""
    return sum(record["reclaimed"] for relay in relays for record in relay.records("lease.expired"))


def fenced(*relays: CommandProcess) -> int:
    """Return how many outcomes of the relays came too late to be written."""
    return sum(record["events"] for relay in relays for record in relay.records("lease.lost"))


def known_already(*relays: CommandProcess) -> int:
    """Return how many acks said that the stream held the event already."""
    return sum(record["events"] for relay in relays for record in relay.records("publish.duplicate"))


def repeats(spy: Spy) -> int:
    """Return how many copies passed on the wire of events that had passed before."""
    return sum(copies - 1 for copies in Counter(event_id for event_id, _, _ in spy.heard).values())
