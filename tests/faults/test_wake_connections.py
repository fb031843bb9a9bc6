"""The two connections of the wake: ended, frozen, cut off, and under defaults that mean them ill."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from tests.support.ages import about
from tests.support.processes import wait_for
from tests.support.wake import LISTEN, LOCK
from tests.support.writers import insert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.ages import Ages
    from tests.support.command import Starter
    from tests.support.proxy import Proxy
    from tests.support.wake import WakeView

pytestmark = pytest.mark.fault

# What would end a wait or a rest unseen, and an isolation level under which a claim would see the past.
HOSTILE = {
    "statement_timeout": "1s",
    "lock_timeout": "300ms",
    "transaction_timeout": "1s",
    "idle_session_timeout": "2s",
    "default_transaction_isolation": "repeatable read",
}
# For a writer whose transaction is to outlast them.
LASTING = "-c idle_session_timeout=0 -c lock_timeout=0 -c transaction_timeout=0"
NO_SWEEP = {"OUTBOX_SWEEP_INTERVAL": "10m"}
BUSY_MACHINE = 0.2


@pytest.fixture
def hostile_defaults(conn: psycopg.Connection) -> None:
    """Give the role of the relay bad defaults in this database."""
    database = sql.Identifier(conn.info.dbname)
    for name, value in HOSTILE.items():
        conn.execute(
            sql.SQL("ALTER ROLE postgres IN DATABASE {} SET {} = {}").format(
                database, sql.Identifier(name), sql.Literal(value)
            )
        )


@pytest.mark.slow
def test_t64_defaults_of_the_role_neither_end_the_wake_nor_delay_events(
    database: str,
    hostile_defaults: None,
    conn: psycopg.Connection,
    wake: WakeView,
    ages: Ages,
    relay_process: Starter,
    measured: Callable[..., None],
) -> None:
    ended_by_defaults = psycopg.connect(database, autocommit=True)
    relay = relay_process(**NO_SWEEP)
    armed = wake.wait_until_armed()
    listening = wake.backends(LISTEN)
    rested = []
    for _ in range(3):
        time.sleep(2.5)
        rested += ages.insert(conn)
    assert max(ages.of(rested)) < 0.1 + BUSY_MACHINE
    with pytest.raises(psycopg.OperationalError, match="idle-session timeout"):
        ended_by_defaults.execute("SELECT 1")
    assert (wake.holders(), wake.backends(LISTEN)) == ({armed}, listening)
    assert "postponed" not in relay.text
    measured(ages=ages.all())


def test_t64_a_wait_for_the_lock_outlasts_the_defaults_of_the_role(
    database: str,
    hostile_defaults: None,
    wake: WakeView,
    relay_process: Starter,
) -> None:
    with psycopg.connect(database, options=LASTING) as writer:
        insert(writer, about())
        relay_process(**NO_SWEEP)
        wait_for(lambda: bool(wake.askers()), 15, "the relay to wait for the wake lock")
        asker = wake.askers()
        time.sleep(1.5)
        assert wake.askers() == asker
        assert _waited_for(wake, asker.copy().pop()) > 1.2


@pytest.mark.parametrize("name", [LISTEN, LOCK])
def test_t64_a_wake_connection_that_is_ended_is_made_again(
    name: str,
    hostile_defaults: None,
    conn: psycopg.Connection,
    wake: WakeView,
    ages: Ages,
    relay_process: Starter,
    measured: Callable[..., None],
) -> None:
    relay = relay_process(**NO_SWEEP)
    armed = wake.wait_until_armed()
    ended = wake.backends(name)
    wake.terminate(ended.copy().pop())
    began = time.monotonic()
    at_once = ages.insert(conn)
    wake.wait_until_armed(besides={armed})
    now = time.monotonic()
    recovered = now - began - ages.machine.stalled(began, now)
    ages.insert(conn)
    assert not ended & wake.backends(name), "the backend was not ended"
    relay.wait_for("wake.lost")
    assert max(ages.all()) < 1
    assert max(ages.of(at_once)) < 0.5 + BUSY_MACHINE
    assert recovered < 1
    measured(recovered=recovered, ages=ages.all())


def test_t64_a_wait_whose_connection_is_ended_does_not_end_the_relay(
    database: str,
    conn: psycopg.Connection,
    wake: WakeView,
    ages: Ages,
    relay_process: Starter,
) -> None:
    relay = relay_process(**NO_SWEEP)
    wake.wait_until_armed()
    with psycopg.connect(database) as writer:
        for _ in range(5):
            # More events than light traffic, so that the relay wants to be rid of a request that is gone already.
            wait_for(lambda: bool(wake.holders() | wake.askers()), 5, "the relay to ask for the wake lock")
            ages.insert(conn, events=20)
            insert(writer, about())
            wake.terminate(_lock_backend(wake))
            ages.insert(conn, events=20)
    wake.wait_until_armed()
    assert max(ages.all()) < 1
    assert relay.running


def _lock_backend(wake: WakeView) -> int:
    """Return the backend of the lock connection, once there is one: the last one may only just have ended."""
    found: set[int] = set()

    def is_there() -> bool:
        found.update(wake.backends(LOCK))
        return bool(found)

    wait_for(is_there, 5, "the relay to connect for the wake lock again")
    return found.pop()


@pytest.mark.slow
def test_t04_a_frozen_listen_backend_is_noticed(
    conn: psycopg.Connection,
    wake: WakeView,
    ages: Ages,
    relay_process: Starter,
    measured: Callable[..., None],
) -> None:
    relay = relay_process(**NO_SWEEP)
    armed = wake.wait_until_armed()
    with _frozen(wake.backends(LISTEN).pop()):
        began = time.monotonic()
        stuck = ages.insert(conn)
        relay.wait_for("wake.lost")
        noticed = time.monotonic() - began
        wake.wait_until_armed(besides={armed})
        fresh = ages.insert(conn)
        assert max(ages.of(fresh)) < 0.1 + BUSY_MACHINE
    measured(noticed=noticed, age=ages.of(stuck))
    # A heartbeat, its answer's time, and not the ten seconds that cancelling on a dead link would cost.
    assert noticed < 6
    assert max(ages.of(stuck)) < noticed + 0.5


@pytest.mark.slow
def test_t04_a_frozen_lock_backend_is_noticed(
    conn: psycopg.Connection,
    wake: WakeView,
    ages: Ages,
    relay_process: Starter,
    measured: Callable[..., None],
) -> None:
    relay = relay_process(**NO_SWEEP)
    with _frozen(wake.wait_until_armed()):
        began = time.monotonic()
        light = ages.insert(conn)
        assert max(ages.of(light)) < 0.1 + BUSY_MACHINE
        relay.wait_for("wake.lost")
        noticed = time.monotonic() - began
    assert noticed < 8
    measured(noticed=noticed)


def test_t03_wake_connections_that_are_cut_off_are_made_again(
    proxied_database: str,
    proxy: Proxy,
    conn: psycopg.Connection,
    wake: WakeView,
    ages: Ages,
    relay_process: Starter,
    measured: Callable[..., None],
) -> None:
    relay = relay_process(**NO_SWEEP, OUTBOX_LISTEN_DATABASE_URL=proxied_database)
    armed = wake.wait_until_armed()
    proxy.deaf()
    began = time.monotonic()
    stuck = ages.insert(conn)
    relay.wait_for("wake.lost")
    noticed = time.monotonic() - began
    polled = ages.insert(conn)
    assert max(ages.of(polled)) < 0.5 + BUSY_MACHINE
    proxy.restore()
    healed = time.monotonic()
    wake.wait_until_armed(besides={armed})
    recovered = time.monotonic() - healed
    fresh = ages.insert(conn)
    assert max(ages.of(fresh)) < 0.1 + BUSY_MACHINE
    assert noticed < 6
    assert max(ages.of(stuck)) < noticed + 0.5
    measured(noticed=noticed, recovered=recovered, ages=ages.all())


@contextmanager
def _frozen(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _waited_for(wake: WakeView, pid: int) -> float:
    query = "SELECT extract(epoch FROM clock_timestamp() - query_start)::float8 FROM pg_stat_activity WHERE pid = %s"
    row = wake.conn.execute(query, [pid]).fetchone()
    assert row is not None
    return float(row[0])
