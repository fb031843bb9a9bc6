"""Whether faults have bitten: what the relays themselves tell about the time after each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.soak.plan import KINDS, LEASE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.soak.conductor import Strike
    from tests.soak.relays import Relay

# How long after a fault its consequences may show.
_AFTERMATH = LEASE + 7.0
# By the first word of a kind: the log line that shows that it was felt, once it is over.
_FELT = {
    "relay killed": "lease.expired",
    "relay frozen": "lease.expired",
    "relay stopped": "relay.stopped",
    "nats": "outage.ended",
    "postgres": "wake.ready",
    "a backend": "wake.ready",
    "all backends": "wake.ready",
}
_BY_ANY = {"lease.expired"}


@dataclass(frozen=True)
class Line:
    """One line of a relay's log."""

    relay: str
    time: float
    facts: dict[str, Any]

    @property
    def event(self) -> str:
        """What it is about."""
        return str(self.facts["event"])


@dataclass(frozen=True)
class Bites:
    """How often a kind of fault was done, and how often it was felt."""

    times: int
    felt: int


def lines(relays: Sequence[Relay]) -> list[Line]:
    """Return what the relays have told, without what each says at the beginning of a life."""
    return [
        line for relay in relays for life in relay.lives for line in _without_greeting(relay.name, life.text)
    ]


def bites(strikes: Sequence[Strike], told: Sequence[Line]) -> dict[str, Bites]:
    """Return for each kind of fault how often it was done and felt."""
    felt = [strike for strike in strikes if _felt(strike, told)]
    return {
        kind: Bites(
            sum(strike.fault.kind == kind for strike in strikes),
            sum(strike.fault.kind == kind for strike in felt),
        )
        for kind in KINDS
    }


def total(told: Sequence[Line], event: str, fact: str) -> int:
    """Return the sum of a number that lines of one kind tell."""
    return sum(int(line.facts[fact]) for line in told if line.event == event)


def _felt(strike: Strike, told: Sequence[Line]) -> bool:
    event = next(event for words, event in _FELT.items() if strike.fault.kind.startswith(words))
    whose = None if strike.fault.target == "servers" or event in _BY_ANY else strike.fault.target
    return any(
        line.event == event
        and strike.began <= line.time <= strike.ended + _AFTERMATH
        and whose in {None, line.relay}
        for line in told
    )


def _without_greeting(relay: str, text: str) -> Iterator[Line]:
    """Yield lines but the first that tells that a server is there, and those that the wake tells better."""
    greeted = False
    for raw in text.splitlines():
        if not (raw.startswith("{") and raw.endswith("}")):
            continue
        facts = json.loads(raw)
        if facts.get("component") == "postgres":
            continue
        if facts["event"] == "wake.ready" and not greeted:
            greeted = True
            continue
        yield Line(relay, datetime.fromisoformat(facts["timestamp"]).timestamp(), facts)
