"""A relay is killed at a named point: another one takes over, and nothing is lost, doubled or out of order."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.checker import check
from tests.support.faulty import Fault
from tests.support.figures import known_already, reclaims
from tests.support.machine import watched_machine
from tests.support.outbox import outbox_table
from tests.support.processes import wait_for
from tests.support.stream import read_stream
from tests.support.writers import Writers

if TYPE_CHECKING:
    from collections.abc import Callable

    from outbox_notify.embedded import EmbeddedNats
    from tests.support.command import Starter

LEASE, SWEEP = 1.5, 0.3
QUICK = {
    "OUTBOX_LEASE": f"{LEASE}s",
    "OUTBOX_SWEEP_INTERVAL": f"{SWEEP}s",
    "OUTBOX_PUBLISH_TIMEOUT": "700ms",
    "OUTBOX_BATCH_SIZE": "50",
}


@pytest.fixture
def takeover(
    database: str,
    nats_server: EmbeddedNats,
    relay_process: Starter,
    faulty_relay: Starter,
    account: Callable[..., None],
) -> Callable[..., int]:
    """Let a relay die at a point under load, beside another one, and account for it.

    Returns how many acks told the other one that the stream held an event already.
    """

    def run(point: str, deed: str = "kill") -> int:
        other = relay_process(**QUICK)
        other.wait_for_record("wake.ready")
        with watched_machine(database) as machine, outbox_table(database) as table:
            with Writers(database, pause=0.01) as writers:
                dying = faulty_relay(Fault(point, deed, nth=3), **QUICK)
                wait_for(lambda: not dying.running, 20, f"a relay to die at {point}")
                died_at = time.monotonic()
            assert dying.records("fault"), "it died of something else"
            assert dying.wait() == (-signal.SIGKILL if deed == "kill" else 1)
            table.wait_until_settled(20)
            recovered = time.monotonic()
            verdict = check(writers.ledger, table.rows(), read_stream(nats_server.url))
        known, taken_over = known_already(other), reclaims(other)
        account(verdict, reclaims=taken_over, duplicate_acks=known, recover_s=round(recovered - died_at, 1))
        assert verdict.problems == {}
        # A relay that ends by a mistake of its own gives back what it can.
        assert taken_over >= 1 or deed == "raise"
        assert recovered - died_at - machine.stalled(died_at, recovered) < LEASE + SWEEP + 1 + 1
        return known

    return run


def test_t13_what_a_relay_had_claimed_when_it_was_killed_is_taken_over(
    takeover: Callable[..., int],
) -> None:
    takeover("after_claim")


@pytest.mark.parametrize("point", [pytest.param("after_publish", marks=pytest.mark.slow), "before_settle"])
def test_t14_what_a_relay_had_published_and_not_marked_is_in_the_stream_once(
    takeover: Callable[..., int], point: str
) -> None:
    assert takeover(point) >= 1, "nothing was published twice"


@pytest.mark.slow
@pytest.mark.parametrize("point", ["while_framing", "before_write"])
def test_t13_a_relay_killed_on_its_way_to_the_socket_costs_only_time(
    takeover: Callable[..., int], point: str
) -> None:
    takeover(point)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["after_claim", "before_settle", "after_settle"])
def test_t13_a_relay_that_ends_by_a_mistake_of_its_own_costs_only_time(
    takeover: Callable[..., int], point: str
) -> None:
    takeover(point, "raise")
