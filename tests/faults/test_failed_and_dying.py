"""Relays die one after the other while events fail: the rest of an aggregate passes, or waits, as it was told to."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.support.faulty import POINTS, Fault
from tests.support.figures import reclaims
from tests.support.front import STORE, Answer, standing_before
from tests.support.outbox import fill, outbox_table
from tests.support.processes import wait_for
from tests.support.stream import read_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from outbox_notify.embedded import EmbeddedNats
    from tests.support.command import CommandProcess, Starter
    from tests.support.outbox import Row

QUICK = {
    "OUTBOX_LEASE": "1500ms",
    "OUTBOX_SWEEP_INTERVAL": "300ms",
    "OUTBOX_PUBLISH_TIMEOUT": "700ms",
    "OUTBOX_BATCH_SIZE": "40",
    # Who dies takes the events of others along: none of them is to be blamed.
    "OUTBOX_MAX_CLAIMS": "100",
}
AGGREGATES, DEPTH, DEATHS = 20, 15, 4
TOO_LARGE = Answer(stores=False, error={"code": 400, "err_code": 10054, "description": "too large"})


class Mortals:
    """Two relays at a time; who dies is replaced, by one that is to die as well until enough have.

    Args:
        start: makes a relay with a fault.
        choices: of the faults.
    """

    def __init__(self, start: Callable[[Fault], CommandProcess], choices: Random) -> None:
        self._start, self._choices = start, choices
        self.dead: list[CommandProcess] = []
        self.living = [start(self._fault()) for _ in range(2)]

    def look_after(self) -> None:
        """Replace the dead."""
        for number, relay in enumerate(self.living):
            if not relay.running:
                assert relay.records("fault"), f"it died of something else:\n{relay.text}"
                self.dead.append(relay)
                self.living[number] = self._start(self._fault() if len(self.dead) < DEATHS else Fault())

    def _fault(self) -> Fault:
        return Fault(self._choices.choice(POINTS), "kill", self._choices.randint(1, 3))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("on_failed", ["skip", "block"])
def test_t13_failed_events_hold_back_or_let_pass_also_when_relays_die(
    database: str,
    nats_server: EmbeddedNats,
    faulty_relay: Starter,
    account: Callable[..., None],
    on_failed: str,
    seed: int,
) -> None:
    choices = Random(seed)  # noqa: S311  # choices, not secrets
    refused: set[str] = set()

    def decide(_subject: str, event_id: str) -> Answer:
        return TOO_LARGE if event_id in refused else STORE

    with outbox_table(database) as table, standing_before(nats_server.url, decide):
        fill(table.conn, AGGREGATES * DEPTH, aggregates=AGGREGATES)
        lanes = lanes_of(table.rows())
        refused |= {choices.choice(lane[1:]) for lane in lanes[:5]} | {lanes[0][-1]}
        published = [passing(lane, refused, block=on_failed == "block") for lane in lanes]
        expected = sum(len(lane) for lane in published)
        relays = Mortals(lambda fault: faulty_relay(fault, OUTBOX_ON_FAILED=on_failed, **QUICK), choices)

        def done() -> bool:
            relays.look_after()
            count = table.count()
            return count["published"] >= expected and not count["in_progress"]

        wait_for(done, 90, f"{expected} events to be published")
        rows = table.rows()
    stream = [message.event_id for message in read_stream(nats_server.url)]
    account(
        lost=expected - len(set(stream)),
        duplicates=len(stream) - len(set(stream)),
        out_of_order=sum(arrived(stream, lane) != lane for lane in published),
        reclaims=reclaims(*relays.dead, *relays.living),
        failed=sum(row.status == "failed" for row in rows),
        seed=seed,
    )
    assert len(relays.dead) >= 2
    assert len(stream) == expected
    assert [arrived(stream, lane) for lane in lanes] == published
    assert {row.event_id for row in rows if row.status == "failed"} <= refused
    assert sum(row.status == "published" for row in rows) == expected


def lanes_of(rows: Sequence[Row]) -> list[list[str]]:
    """Return the events of each aggregate, in write order."""
    lanes: dict[int | None, list[str]] = {}
    for row in rows:
        lanes.setdefault(row.ordering_key, []).append(row.event_id)
    return list(lanes.values())


def passing(lane: list[str], refused: set[str], *, block: bool) -> list[str]:
    """Return which events of an aggregate get through."""
    if block:
        first = next((place for place, event_id in enumerate(lane) if event_id in refused), len(lane))
        return lane[:first]
    return [event_id for event_id in lane if event_id not in refused]


def arrived(stream: Sequence[str], lane: Sequence[str]) -> list[str]:
    """Return the events of an aggregate in the order of the stream."""
    wanted = set(lane)
    return [event_id for event_id in stream if event_id in wanted]
