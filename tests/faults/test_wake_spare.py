"""Two relays, one with the wake lock and a spare one: the first is frozen, vanishes, dies or leaves."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.processes import wait_for
from tests.support.wake import LOCK

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

    from tests.support.ages import Ages
    from tests.support.command import Starter
    from tests.support.proxy import Proxy
    from tests.support.wake import WakeView

pytestmark = pytest.mark.fault

NO_SWEEP = {"OUTBOX_SWEEP_INTERVAL": "10m"}
# The spare one looks within 20 ms; the rest of this is for a busy machine.
SOON = 0.1 + 0.2
# A spare relay tries the lock at every heartbeat.
HEARTBEAT = 2.0


class Pair:
    """The relay that holds the lock, its backend, and the spare one."""

    def __init__(self, wake: WakeView, start: Starter, **first: str) -> None:
        self._wake = wake
        self.holder = start(**NO_SWEEP, **first)
        self.backend = wake.wait_until_armed()
        self.spare = start(**NO_SWEEP)
        self.spare.wait_for("wake.ready")
        wait_for(lambda: len(wake.backends(LOCK)) == 2, 15, "the spare relay to be there")

    def wait_for_takeover(self) -> float:
        """Return how many seconds it takes the spare relay to get the lock."""
        began = time.monotonic()
        self._wake.wait_until_armed(besides={self.backend})
        return time.monotonic() - began


@pytest.mark.slow
def test_t65_a_spare_relay_takes_over_from_a_frozen_one_at_once(
    conn: psycopg.Connection,
    wake: WakeView,
    ages: Ages,
    relay_process: Starter,
    measured: Callable[..., None],
) -> None:
    pair = Pair(wake, relay_process)
    pair.holder.freeze()
    wait_for(lambda: "State:\tT" in _status(pair.holder.pid), 2, "the relay to be frozen")
    for _ in range(10):
        ages.insert(conn)
        time.sleep(0.5)
    assert wake.holders() == {pair.backend}, "the frozen relay has lost the lock"
    measured(ages=ages.all())
    assert max(ages.all()) < SOON
    pair.holder.thaw()
    assert max(ages.of(ages.insert(conn))) < SOON


@pytest.mark.slow
def test_t65_a_spare_relay_takes_over_from_one_whose_host_is_gone(
    proxied_database: str,
    proxy: Proxy,
    conn: psycopg.Connection,
    wake: WakeView,
    ages: Ages,
    relay_process: Starter,
    measured: Callable[..., None],
) -> None:
    pair = Pair(wake, relay_process, OUTBOX_DATABASE_URL=proxied_database)
    proxy.deaf()
    gone = []
    for _ in range(6):
        gone += ages.insert(conn)
        time.sleep(0.5)
    assert wake.holders() == {pair.backend}, "PostgreSQL has noticed: the link is not dead"
    assert max(ages.of(gone)) < SOON
    # PostgreSQL gives the connection up, as it does by tcp_user_timeout, and with it the lock.
    proxy.cut()
    wait_for(lambda: not wake.holders(), 2, "PostgreSQL to free the lock")
    nobody = ages.insert(conn)
    took_over = pair.wait_for_takeover()
    fresh = ages.insert(conn)
    assert max(ages.of(nobody)) < HEARTBEAT + 0.5
    assert max(ages.of(fresh)) < SOON
    measured(gone=ages.of(gone), nobody=ages.of(nobody), took_over=took_over)


@pytest.mark.parametrize("ends", ["stop", "kill"])
def test_t65_a_spare_relay_takes_over_from_one_that_ends(
    ends: str,
    conn: psycopg.Connection,
    wake: WakeView,
    ages: Ages,
    relay_process: Starter,
    measured: Callable[..., None],
) -> None:
    pair = Pair(wake, relay_process)
    getattr(pair.holder, ends)()
    wait_for(lambda: pair.backend not in wake.holders(), 10, "PostgreSQL to free the lock")
    at_once = ages.insert(conn)
    took_over = pair.wait_for_takeover()
    latest = SOON if ends == "stop" else HEARTBEAT + 0.5
    assert max(ages.of(at_once)) < latest
    measured(took_over=took_over, age=ages.of(at_once))


def test_a_spare_relay_is_not_left_behind_by_many_notifications(
    conn: psycopg.Connection,
    wake: WakeView,
    ages: Ages,
    relay_process: Starter,
) -> None:
    # The first relay never lets go of the lock: everybody is told of every event.
    pair = Pair(wake, relay_process, OUTBOX_WAKE="always")
    for _ in range(1000):
        ages.insert(conn)
    ages.all()
    time.sleep(0.5)
    last_look = _last_look(conn)
    time.sleep(1)
    assert _last_look(conn) == last_look, "a relay goes on looking for what it was told of long ago"
    assert pair.spare.running


def _status(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text(encoding="utf-8")


def _last_look(conn: psycopg.Connection) -> str:
    """Return when a relay began its last statement on the table."""
    row = conn.execute(
        "SELECT max(query_start)::text FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE 'outbox-notify relay % work'"
    ).fetchone()
    assert row is not None
    return str(row[0])
