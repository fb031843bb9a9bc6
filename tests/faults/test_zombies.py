"""A relay is frozen for longer than its lease, at the worst moments, while another takes over; then it goes on.

It must neither change what the other has taken over, nor send what the other has sent, let alone out of order.
Where the last look at the clock is behind it, one piece of frames does go out late: what that does is shown too.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from outbox_notify.embedded import EmbeddedNats
from tests.support.checker import out_of_order
from tests.support.command import run
from tests.support.faulty import Fault
from tests.support.figures import fenced, reclaims
from tests.support.front import REFUSE, STORE, Answer, standing_before
from tests.support.outbox import OutboxTable, fill
from tests.support.processes import wait_for
from tests.support.stream import create_stream, read_stream, spying

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import psycopg

    from tests.support.command import CommandProcess, Starter
    from tests.support.outbox import Row

QUICK = {
    "OUTBOX_LEASE": "1500ms",
    "OUTBOX_SWEEP_INTERVAL": "300ms",
    "OUTBOX_PUBLISH_TIMEOUT": "700ms",
    "OUTBOX_RETRY_BASE": "100ms",
}
AGGREGATES, EVENTS = 3, 12
WINDOW = 1.0
SLOW = pytest.mark.slow
PUBLISHED = {"published": 2 * EVENTS}
TOO_LARGE = Answer(stores=False, error={"code": 400, "err_code": 10054, "description": "too large"})


@dataclass
class Takeover:
    """A relay that is frozen with events in hand, and another one that has taken them over.

    Args:
        zombie: frozen.
        other: has published everything, and later events of the same aggregates.
        rows: the table as the other has left it.
        began: when the zombie was frozen, on the monotonic clock.
    """

    zombie: CommandProcess
    other: CommandProcess
    rows: list[Row]
    began: float

    def go_on(self, table: OutboxTable) -> list[Row]:
        """Let the zombie go on, make sure that it is alive, stop it, and return the rows that the other had settled."""
        self.zombie.thaw()
        self.zombie.wait_for('"event": "(lease.lost|events.released)"')
        assert self.zombie.stop() == 0
        assert not table.count()["in_progress"]
        return [row for row in table.rows() if row.id <= len(self.rows)]


@pytest.fixture
def taken_over(
    conn: psycopg.Connection,
    relay_process: Starter,
    faulty_relay: Starter,
) -> Callable[..., Takeover]:
    """Freeze a relay at a point of its work, and let another take over all it has."""

    def freeze_at(point: str, nth: int = 1, left: Mapping[str, int] = PUBLISHED, **settings: str) -> Takeover:
        table = OutboxTable(conn)
        settings = {**QUICK, **settings}
        zombie = faulty_relay(Fault(point, "freeze", nth), OUTBOX_RELAY_ID="zombie", **settings)
        zombie.wait_for_record("wake.ready")
        fill(conn, EVENTS, aggregates=AGGREGATES)
        zombie.wait_for_record("fault")
        began = time.monotonic()
        assert table.in_hand("zombie")
        other = relay_process(**settings)
        fill(conn, EVENTS, aggregates=AGGREGATES)
        wait_for(lambda: table.count() == Counter(left), 20, f"the other to leave {left}")
        return Takeover(zombie, other, table.rows(), began)

    return freeze_at


@pytest.mark.parametrize(
    ("point", "nth"),
    [
        pytest.param("after_claim", 1, marks=SLOW),
        ("while_framing", 1),
        pytest.param("while_framing", 3, marks=SLOW),
        pytest.param("after_publish", 1, marks=SLOW),
        pytest.param("after_publish", 2, marks=SLOW),
        pytest.param("before_settle", 1, marks=SLOW),
    ],
)
def test_t15_a_relay_frozen_anywhere_before_its_last_look_at_the_clock_sends_nothing_late(
    conn: psycopg.Connection,
    nats_server: EmbeddedNats,
    taken_over: Callable[..., Takeover],
    account: Callable[..., None],
    point: str,
    nth: int,
) -> None:
    table = OutboxTable(conn)
    with spying(nats_server.url) as spy:
        takeover = taken_over(point, nth)
        sent = len(spy.heard)
        assert takeover.go_on(table) == takeover.rows
        assert len(spy.heard) == sent, "the zombie has sent something"
    stream = read_stream(nats_server.url)
    late = fenced(takeover.zombie)
    taken = reclaims(takeover.other)
    account(
        duplicates=len(stream) - 2 * EVENTS,
        out_of_order=len(out_of_order(takeover.rows, stream)),
        reclaims=taken,
        fenced=late,
    )
    assert [row.status for row in takeover.rows] == ["published"] * 2 * EVENTS
    assert len(stream) == 2 * EVENTS
    assert out_of_order(takeover.rows, stream) == []
    assert min(taken, late) >= 1


def test_t15_a_piece_that_goes_out_late_is_a_repeat_that_the_stream_recognises(
    conn: psycopg.Connection,
    nats_server: EmbeddedNats,
    taken_over: Callable[..., Takeover],
    account: Callable[..., None],
) -> None:
    table = OutboxTable(conn)
    with spying(nats_server.url) as spy:
        takeover = taken_over("before_write")
        sent = len(spy.heard)
        assert takeover.go_on(table) == takeover.rows
        # The first of each aggregate, and no more: their followers see the clock again.
        assert len(spy.heard) == sent + AGGREGATES
    stream = read_stream(nats_server.url)
    account(
        duplicates=len(stream) - 2 * EVENTS,
        out_of_order=len(out_of_order(takeover.rows, stream)),
        duplicate_acks=len(spy.heard) - sent,
        reclaims=reclaims(takeover.other),
        fenced=fenced(takeover.zombie),
    )
    assert len(stream) == 2 * EVENTS
    assert out_of_order(takeover.rows, stream) == []
    assert min(reclaims(takeover.other), fenced(takeover.zombie)) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("patient", [True, False])
def test_t15_beyond_the_duplicate_window_a_late_piece_is_a_second_copy_unless_nats_has_hung_up(
    database: str,
    conn: psycopg.Connection,
    taken_over: Callable[..., Takeover],
    patient: bool,  # noqa: FBT001  # a table
) -> None:
    config = "" if patient else "ping_interval: 1\nping_max: 1\n"
    with EmbeddedNats(config=config) as server:
        create_stream(server.url, "events.>", duplicate_window=int(WINDOW * 10**9))
        takeover = taken_over("before_write", OUTBOX_NATS_URL=server.url)
        time.sleep(WINDOW + 4)  # the window, and the patience of a server that pings each second
        assert takeover.go_on(OutboxTable(conn)) == takeover.rows
        stream = read_stream(server.url)
    copies = len(stream) - 2 * EVENTS
    assert copies == (AGGREGATES if patient else 0)
    # A repeat, as anything delivered at least once may be; the first copies stand in order.
    assert out_of_order(takeover.rows, stream) == []


@pytest.mark.slow
@pytest.mark.parametrize("on_failed", ["skip", "block"])
def test_t15_only_an_event_that_the_other_has_failed_comes_late_and_under_block_still_in_its_place(
    database: str,
    conn: psycopg.Connection,
    nats_server: EmbeddedNats,
    taken_over: Callable[..., Takeover],
    on_failed: str,
) -> None:
    tries: Counter[str] = Counter()

    def decide(_subject: str, event_id: str) -> Answer:
        """Refuse the other's try of the first event, and take the zombie's, as if a limit had been raised between."""
        tries[event_id] += 1
        return TOO_LARGE if len(tries) == tries[event_id] == 1 else STORE

    table = OutboxTable(conn)
    behind = 2 * EVENTS // AGGREGATES - 1 if on_failed == "block" else 0
    left = {"published": 2 * EVENTS - 1 - behind, "failed": 1, "pending": behind}
    with standing_before(nats_server.url, decide):
        takeover = taken_over("before_write", left=left, OUTBOX_ON_FAILED=on_failed)
        assert takeover.go_on(table) == takeover.rows
        (failed,) = [row for row in takeover.rows if row.status == "failed"]
        late = [failed.event_id]
        assert tries[failed.event_id] == 2
        assert out_of_order(takeover.rows, read_stream(nats_server.url)) == (
            late if on_failed == "skip" else []
        )
        requeued = run("failed", "requeue", str(failed.id), "--yes", OUTBOX_DATABASE_URL=database)
        assert requeued.returncode == 0, requeued.stderr
        wait_for(lambda: table.count() == {"published": 2 * EVENTS}, 10, "everything to be published")
        stream = read_stream(nats_server.url)
    assert len(stream) == 2 * EVENTS
    assert out_of_order(takeover.rows, stream) == (late if on_failed == "skip" else [])


def test_t16_a_failure_that_a_relay_reports_late_does_not_undo_what_the_other_has_published(
    conn: psycopg.Connection,
    nats_server: EmbeddedNats,
    taken_over: Callable[..., Takeover],
    account: Callable[..., None],
) -> None:
    tried: set[str] = set()

    def decide(_subject: str, event_id: str) -> Answer:
        if event_id in tried or len(tried) >= AGGREGATES:
            return STORE
        tried.add(event_id)
        return REFUSE

    table = OutboxTable(conn)
    with standing_before(nats_server.url, decide):
        takeover = taken_over("before_settle", OUTBOX_MAX_ATTEMPTS="1")
        assert {row.status for row in takeover.rows} == {"published"}
        assert takeover.go_on(table) == takeover.rows
        stream = read_stream(nats_server.url)
    late = fenced(takeover.zombie)
    disorder = out_of_order(takeover.rows, stream)
    account(
        reclaims=reclaims(takeover.other),
        fenced=late,
        failed=0,
        out_of_order=len(disorder),
        duplicates=len(stream) - 2 * EVENTS,
    )
    assert len(stream) == 2 * EVENTS
    assert disorder == []
    assert len(tried) == AGGREGATES
    assert late >= AGGREGATES
    assert not any(row.attempts for row in takeover.rows)
    assert not takeover.zombie.records("event.failed"), "it said what is not so"
