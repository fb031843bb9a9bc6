"""An upgrade of everything under load: relays, NATS nodes and PostgreSQL, one after the other."""

from __future__ import annotations

import time
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING

import nats
import pytest

from tests.support.checker import check
from tests.support.nats_nodes import NatsNodes
from tests.support.outbox import outbox_table
from tests.support.postgres_pair import PostgresPair
from tests.support.stream import read_stream, stored, wait_for_stored
from tests.support.writers import Writers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.command import CommandProcess, Starter

QUICK = {"OUTBOX_LEASE": "5s", "OUTBOX_SWEEP_INTERVAL": "1s", "OUTBOX_PUBLISH_TIMEOUT": "3s"}


@pytest.fixture
def nodes() -> Iterator[NatsNodes]:
    with NatsNodes() as nodes:
        yield nodes


@pytest.fixture
def pair() -> Iterator[PostgresPair]:
    with PostgresPair(synchronous=True) as pair:
        yield pair


class Crew:
    """Relays that are replaced one at a time.

    Args:
        start: a relay, by its name.
        size: how many there are at a time.
    """

    def __init__(self, start: Callable[[str], CommandProcess], size: int) -> None:
        self._start = start
        self._names = (f"r{number}" for number in count())
        self.slowest_stop = 0.0
        self.relays = [self._new() for _ in range(size)]

    def replace_each(self) -> None:
        """Start a new one, stop an old one, until none of those that there were is left."""
        for old in list(self.relays):
            self.relays.append(self._new())
            began = time.monotonic()
            assert old.stop() == 0
            self.slowest_stop = max(self.slowest_stop, time.monotonic() - began)
            self.relays.remove(old)

    def _new(self) -> CommandProcess:
        relay = self._start(next(self._names))
        relay.wait_for_record("wake.ready")
        return relay


@pytest.mark.slow
@pytest.mark.parametrize("relays", [2, 4])
def test_t50_everything_is_replaced_under_load_and_nothing_is_lost_or_doubled(
    pair: PostgresPair,
    nodes: NatsNodes,
    relay_process: Starter,
    account: Callable[..., None],
    measured: Callable[..., None],
    relays: int,
) -> None:
    def start(name: str) -> CommandProcess:
        return relay_process(
            OUTBOX_DATABASE_URL=pair.url, OUTBOX_NATS_URL=nodes.url, OUTBOX_RELAY_ID=name, **QUICK
        )

    crew = Crew(start, relays)
    with Writers(pair.url, pause=0.03) as writers:
        wait_for_stored(nodes.url, 300)
        crew.replace_each()
        for node in nodes.nodes:
            node.stop()
            _wait_for_more(nodes, 200)
            node.start()
            nodes.wait_until_whole()
        pair.lose_primary("stop")
        pair.standby.promote()
        _wait_for_more(nodes, 200)
        crew.replace_each()
        _wait_for_more(nodes, 200)
    with outbox_table(pair.standby.url) as table:
        table.wait_until_settled()
        verdict = check(writers.ledger, table.rows(), read_stream(nodes.url))
    account(verdict)
    measured(events=len(writers.ledger.committed), slowest_stop=round(crew.slowest_stop, 2))
    assert verdict.problems == {}
    assert crew.slowest_stop < 10


def _wait_for_more(nodes: NatsNodes, events: int) -> None:
    wait_for_stored(nodes.url, _stored(nodes) + events, timeout=60)


def _stored(nodes: NatsNodes) -> int:
    """Ask again when a question is lost with the node that led the stream."""
    for _ in range(3):
        with suppress(nats.errors.TimeoutError):
            return stored(nodes.url)
    return stored(nodes.url)
