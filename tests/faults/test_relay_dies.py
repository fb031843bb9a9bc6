"""A relay is killed at a named point: another one takes over, and nothing is lost, doubled or out of order."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.checker import check
from tests.support.faulty import Fault
from tests.support.figures import reclaims, repeats
from tests.support.machine import watched_machine
from tests.support.outbox import outbox_table
from tests.support.processes import wait_for
from tests.support.stream import read_stream, spying
from tests.support.writers import Writers

if TYPE_CHECKING:
    from collections.abc import Callable

    from outbox_notify.embedded import EmbeddedNats
    from tests.support.checker import Verdict
    from tests.support.command import CommandProcess
    from tests.support.stream import Spy

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
    relay_process: Callable[..., CommandProcess],
    faulty_relay: Callable[..., CommandProcess],
    account: Callable[..., None],
) -> Callable[..., tuple[Verdict, Spy]]:
    """Let a relay die at a point under load, beside another one, and account for it."""

    def run(point: str, nth: int = 3) -> tuple[Verdict, Spy]:
        other = relay_process(**QUICK)
        other.wait_for_record("wake.ready")
        with (
            watched_machine(database) as machine,
            spying(nats_server.url) as spy,
            outbox_table(database) as table,
        ):
            with Writers(database, pause=0.01) as writers:
                dying = faulty_relay(Fault(point, "kill", nth), **QUICK)
                wait_for(lambda: not dying.running, 20, f"a relay to die at {point}")
                died_at = time.monotonic()
            assert dying.records("fault"), "it died of something else"
            assert dying.wait() == -signal.SIGKILL
            table.wait_until_settled(20)
            recovered = time.monotonic()
            verdict = check(writers.ledger, table.rows(), read_stream(nats_server.url))
        taken_over = reclaims(other)
        account(
            verdict, reclaims=taken_over, duplicate_acks=repeats(spy), recover_s=round(recovered - died_at, 1)
        )
        assert verdict.problems == {}
        assert taken_over >= 1
        assert recovered - died_at - machine.stalled(died_at, recovered) < LEASE + SWEEP + 1 + 1
        return verdict, spy

    return run


def test_t13_what_a_relay_had_claimed_when_it_was_killed_is_taken_over(
    takeover: Callable[..., object],
) -> None:
    takeover("after_claim")


@pytest.mark.parametrize("point", [pytest.param("after_publish", marks=pytest.mark.slow), "before_settle"])
def test_t14_what_a_relay_had_published_and_not_marked_is_in_the_stream_once(
    takeover: Callable[..., tuple[Verdict, Spy]], point: str
) -> None:
    _, spy = takeover(point)
    assert repeats(spy) >= 1, "nothing was published twice"


@pytest.mark.slow
@pytest.mark.parametrize("point", ["while_framing", "before_write"])
def test_t13_a_relay_killed_on_its_way_to_the_socket_costs_only_time(
    takeover: Callable[..., object], point: str
) -> None:
    takeover(point)
