"""A stream on three NATS nodes that lose their leader, and are restarted one after the other, under load."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.support.checker import check
from tests.support.nats_nodes import NatsNodes
from tests.support.outbox import outbox_table
from tests.support.stream import read_stream
from tests.support.writers import Writers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from outbox_notify.embedded import EmbeddedNats
    from tests.support.command import CommandProcess, Starter
    from tests.support.outbox import OutboxTable

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.timeout(300)]

# An election takes nats-server four to nine seconds, and a relay may have to wait for two of them.
_LONGEST = 60.0


@pytest.fixture
def nodes() -> Iterator[NatsNodes]:
    with NatsNodes() as nodes:
        yield nodes


@pytest.mark.parametrize("how", ["stop", "kill", "freeze"])
@pytest.mark.parametrize("connected_to", ["leader", "follower"])
def test_a_stream_that_loses_its_leader_costs_time_only(
    database: str,
    nodes: NatsNodes,
    relay_process: Starter,
    measured: Callable[..., None],
    how: str,
    connected_to: str,
) -> None:
    leader = nodes.wait_for_leader()
    follower = next(node for node in nodes.nodes if node is not leader)
    first = {"leader": leader, "follower": follower}[connected_to]
    relay = relay_process(OUTBOX_NATS_URL=nodes.url_from(first), OUTBOX_MAX_ATTEMPTS="2")
    with outbox_table(database) as table:
        with Writers(database, pause=0.05) as writers:
            _wait_for_published(table, 500)
            getattr(leader, how)()
            began = time.monotonic()
            assert nodes.wait_for_leader() is not leader or how == "freeze"
            elected = time.monotonic() - began
            _wait_for_published(table, 200)
            recovered = time.monotonic() - began
            _come_back(leader, how)
            nodes.wait_until_whole()
        table.wait_until_settled(90)
        verdict = check(writers.ledger, table.rows(), read_stream(nodes.url))
    measured(how=how, connected_to=connected_to, elected=round(elected, 1), recovered=round(recovered, 1))
    assert verdict.problems == {}
    assert how == "stop" or _was_hit(relay)
    assert recovered < _LONGEST


def test_nodes_that_are_restarted_one_after_the_other_cost_time_only(
    database: str, nodes: NatsNodes, relay_process: Starter, measured: Callable[..., None]
) -> None:
    relays = [
        relay_process(OUTBOX_NATS_URL=nodes.url_from(node), OUTBOX_RELAY_ID=f"r{number}")
        for number, node in enumerate(nodes.nodes[:2])
    ]
    pauses = []
    with outbox_table(database) as table:
        with Writers(database, pause=0.05) as writers:
            for node in nodes.nodes:
                _wait_for_published(table, 300)
                began = time.monotonic()
                node.stop()
                _wait_for_published(table, 100)
                pauses.append(round(time.monotonic() - began, 1))
                node.start()
                nodes.wait_until_whole()
            _wait_for_published(table, 300)
        table.wait_until_settled(90)
        verdict = check(writers.ledger, table.rows(), read_stream(nodes.url))
    measured(pauses=pauses)
    assert verdict.problems == {}
    # Each was connected to a node that was stopped.
    assert all(len(relay.records("outage.started")) >= 1 for relay in relays)
    assert max(pauses) < _LONGEST


def test_a_relay_outlives_the_majority_of_the_nodes(
    database: str, nodes: NatsNodes, relay_process: Starter, measured: Callable[..., None]
) -> None:
    relay_process(OUTBOX_NATS_URL=nodes.url, OUTBOX_MAX_ATTEMPTS="2", OUTBOX_PUBLISH_TIMEOUT="2s")
    with outbox_table(database) as table:
        with Writers(database, pause=0.05) as writers:
            _wait_for_published(table, 300)
            for node in nodes.nodes[:2]:
                node.kill()
            time.sleep(10)  # the length of the outage
            for node in nodes.nodes[:2]:
                node.start()
            began = time.monotonic()
            _wait_for_published(table, 300)
            recovered = time.monotonic() - began
        table.wait_until_settled(90)
        verdict = check(writers.ledger, table.rows(), read_stream(nodes.url))
    measured(recovered=round(recovered, 1))
    assert verdict.problems == {}
    assert recovered < _LONGEST


def _wait_for_published(table: OutboxTable, more: int) -> None:
    """Return once so many more events are published; asked of PostgreSQL, since NATS is what fails."""
    enough = table.count()["published"] + more
    deadline = time.monotonic() + _LONGEST
    while (published := table.count()["published"]) < enough:
        assert time.monotonic() < deadline, f"{published} of {enough} events after {_LONGEST:g} s"
        time.sleep(0.02)


def _come_back(node: EmbeddedNats, how: str) -> None:
    if how == "freeze":
        node.thaw()
    else:
        node.start()


def _was_hit(relay: CommandProcess) -> bool:
    return bool(relay.records("outage.started") or relay.records("route.resting"))
