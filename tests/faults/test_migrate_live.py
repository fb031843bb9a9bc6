"""The table is migrated by two processes at once while relays and writers work on it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.support.ages import about
from tests.support.checker import check
from tests.support.command import QUICK, run
from tests.support.machine import watched_machine
from tests.support.next_release import LOCK_TIMEOUT, NEXT
from tests.support.outbox import OutboxTable
from tests.support.processes import wait_for
from tests.support.stream import read_stream, stored, wait_for_stored
from tests.support.writers import Writers, insert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from outbox_notify.embedded import EmbeddedNats
    from tests.support.command import Starter
    from tests.support.ledger import Ledger

WAITS = """
    SELECT FROM pg_locks
    WHERE mode = 'AccessExclusiveLock' AND relation = 'event_outbox'::regclass AND NOT granted
"""


@pytest.mark.slow
def test_t53_two_processes_migrate_under_live_relays_and_writers(
    database: str,
    conn: psycopg.Connection,
    nats_server: EmbeddedNats,
    relay_process: Starter,
    account: Callable[..., None],
    measured: Callable[..., None],
) -> None:
    relays = [relay_process(**QUICK) for _ in range(2)]
    with Writers(database, pause=0.02) as writers, _stalls(database, writers.ledger) as stalls:
        wait_for_stored(nats_server.url, 200)
        with psycopg.connect(database) as slow:
            # A writer that takes its time: the migration has to step back from its lock and come again.
            ids = insert(slow, about("slow-article"))
            writers.ledger.attempt({ids[0]: about("slow-article")})
            processes = [_migrating(database) for _ in range(2)]
            wait_for(lambda: bool(conn.execute(WAITS.encode()).fetchall()), 20, "the migration to wait")
            wait_for(lambda: not conn.execute(WAITS.encode()).fetchall(), 20, "it to step back")
            slow.commit()
            writers.ledger.commit(set(ids))
        done = [json.loads(process.communicate(timeout=60)[0]) for process in processes]
        wait_for_stored(nats_server.url, stored(nats_server.url) + 200)
    OutboxTable(conn).wait_until_settled()
    verdict = check(writers.ledger, OutboxTable(conn).rows(), read_stream(nats_server.url))
    account(verdict)
    measured(writer_stall=max(stalls), said=[one["said"] for one in done])
    assert sorted(version for one in done for version in one["applied"]) == [file.version for file in NEXT]
    assert any("got no lock" in line for one in done for line in one["said"])
    assert verdict.problems == {}
    assert max(stalls) < LOCK_TIMEOUT + 1.5
    assert all(relay.running and "cached plan" not in relay.text for relay in relays)

    # This release, started anew on the table of the next: the relay works, its migrate refuses.
    for relay in relays:
        assert relay.stop() == 0
    relay_process(**QUICK).wait_for_record("wake.ready")
    before = stored(nats_server.url)
    insert(conn, about())
    wait_for_stored(nats_server.url, before + 1)
    refused = run("migrate", "up", OUTBOX_DATABASE_URL=database)
    assert refused.returncode == 78
    assert "upgrade the package" in refused.stderr


def _migrating(url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.next_release", url], stdout=subprocess.PIPE, text=True
    )


@contextmanager
def _stalls(url: str, ledger: Ledger) -> Iterator[list[float]]:
    """Write one event after another, and tell how long each took, without what the machine itself took."""
    took, stop = [0.0], threading.Event()

    def write() -> None:
        with watched_machine(url) as machine, psycopg.connect(url, autocommit=True) as conn:
            while not stop.wait(0.01):
                began = time.monotonic()
                event = about()
                ids = insert(conn, event)
                ended = time.monotonic()
                ledger.attempt({ids[0]: event})
                took.append(ended - began - machine.stalled(began, ended))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield took
    finally:
        stop.set()
        thread.join()
