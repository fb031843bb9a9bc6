"""An event loop that stands still feeds no watchdog: systemd starts the relay again."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.support.faulty import Fault
from tests.support.manager import Manager
from tests.support.outbox import OutboxTable, fill
from tests.support.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import psycopg

    from tests.support.command import Starter

# WatchdogSec, and for how long the loop is blocked: systemd would have killed it by then.
WATCHDOG, BLOCKED = 0.6, 1.6


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.close()


def test_t51_a_blocked_loop_stops_feeding_the_watchdog(
    conn: psycopg.Connection,
    manager: Manager,
    faulty_relay: Starter,
    measured: Callable[..., None],
) -> None:
    relay = faulty_relay(
        Fault("after_claim", "block", seconds=BLOCKED),
        NOTIFY_SOCKET=str(manager.path),
        WATCHDOG_USEC=str(int(WATCHDOG * 1_000_000)),
    )
    relay.wait_for_record("wake.ready")
    wait_for(lambda: len(manager.pings()) >= 3, 10, "the watchdog to be fed")
    fill(conn, 10)
    relay.wait_for_record("fault")
    blocked_at = time.monotonic()
    OutboxTable(conn).wait_until_settled(10)
    going_on = time.monotonic()
    pings = manager.pings()
    while_blocked = [when for when in pings if blocked_at + 0.1 < when < going_on - 0.5]
    silences = [later - earlier for earlier, later in pairwise(pings)]
    measured(longest=max(silences), shortest=min(silences), pings=len(pings))
    assert while_blocked == []
    assert max(silences) > WATCHDOG
    # It was fed in time before that: the silence is what the block made.
    assert min(silences) < WATCHDOG
