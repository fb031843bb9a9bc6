"""Which faults happen when: chosen by a seed, so that a run can be repeated. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

RELAYS = ("relay-1", "relay-2", "relay-3")
LEASE = 3.0
_FIRST = 1.0
# Seconds one way. Close by, relays keep up and sleep now and then; far off, they have much in hand when they are hit.
_DISTANCES = (0.001, 0.005, 0.02)


@dataclass(frozen=True)
class Fault:
    """One fault.

    Args:
        at: seconds from the beginning; it comes later when the one before it takes longer than planned.
        hold: seconds until it is healed.
        kind: what happens.
        target: to whom; a relay, or "servers".
        dice: a number from 0 to 1 for what else is left to chance.
    """

    at: float
    hold: float
    kind: str
    target: str
    dice: float


@dataclass(frozen=True)
class Lane:
    """Faults that never overlap each other; those of other lanes do.

    Args:
        targets: whom they hit; one is drawn each time.
        gap: shortest and longest time from the end of one to the next, seconds.
        holds: shortest and longest time that each kind holds, seconds.
    """

    targets: tuple[str, ...]
    gap: tuple[float, float]
    holds: Mapping[str, tuple[float, float]]


_RELAY_FAULTS = {
    "relay killed": (0.0, 3.0),
    "relay frozen": (0.3, LEASE + 5),
    "relay stopped": (0.0, 1.0),
}
_SERVERS = ("servers",)

LANES = {
    **{relay: Lane((relay,), (1.5, 7), _RELAY_FAULTS) for relay in RELAYS},
    "nats": Lane(
        _SERVERS,
        (2, 8),
        {"nats killed": (0.0, 4.0), "nats frozen": (0.5, 6.0), "nats restarted": (0.0, 1.0)},
    ),
    "postgres": Lane(
        _SERVERS,
        (3, 10),
        {
            "postgres killed": (0.0, 2.0),
            "postgres stopped at once": (0.0, 2.0),
            "postgres restarted": (0.0, 1.0),
        },
    ),
    "backends": Lane(
        _SERVERS, (1, 6), {"a backend terminated": (0.0, 0.0), "all backends terminated": (0.0, 0.0)}
    ),
    "network": Lane(
        RELAYS,
        (1.5, 6),
        {
            "postgres cut off": (0.0, 1.0),
            "nats cut off": (0.0, 1.0),
            "postgres unheard": (0.5, 6.0),
            "nats unheard": (0.5, 6.0),
        },
    ),
}
KINDS = tuple(dict.fromkeys(kind for lane in LANES.values() for kind in lane.holds))


def plan(seed: int, seconds: float) -> list[list[Fault]]:
    """Return the faults of each lane, in their order; all of them begin within `seconds`."""
    return [list(_lane(lane, Random(f"{seed} {name}"), seconds)) for name, lane in LANES.items()]  # noqa: S311  # no secrets


def distance_of_nats(seed: int) -> float:
    """Return how far off NATS is, in seconds one way."""
    return Random(f"{seed} distance").choice(_DISTANCES)  # noqa: S311  # no secrets


def _lane(lane: Lane, random: Random, seconds: float) -> Iterator[Fault]:
    at = _FIRST + random.uniform(0, lane.gap[1])
    for kind in _kinds(lane, random):
        if at >= seconds:
            return
        hold = random.uniform(*lane.holds[kind])
        yield Fault(at, hold, kind, random.choice(lane.targets), random.random())
        at += hold + random.uniform(*lane.gap)


def _kinds(lane: Lane, random: Random) -> Iterator[str]:
    """Yield kinds without end, each as often as the others."""
    while True:
        yield from random.sample(list(lane.holds), len(lane.holds))
