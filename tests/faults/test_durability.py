"""PostgreSQL crashes under writers that do not wait for their commits to be on disk."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psycopg
import pytest

from outbox_notify.embedded import EmbeddedPostgres
from tests.support.ages import about
from tests.support.outbox import outbox_table
from tests.support.postgres import SETTINGS, migrate
from tests.support.processes import wait_for
from tests.support.stream import spying
from tests.support.writers import insert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from outbox_notify.embedded import EmbeddedNats
    from tests.support.command import Starter
    from tests.support.stream import Spy

pytestmark = pytest.mark.fault

QUICK = {"OUTBOX_SWEEP_INTERVAL": "1s", "OUTBOX_LEASE": "3s", "OUTBOX_PUBLISH_TIMEOUT": "2s"}
# Nobody but a commit that waits writes the log to disk: what does not wait is gone after a crash.
LAZY = {"wal_writer_delay": "10s", "wal_writer_flush_after": "1GB", "synchronous_commit": "off"}


@pytest.fixture
def lazy_postgres() -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(18, {**SETTINGS, **LAZY}) as server:
        migrate(server.url)
        yield server


@pytest.mark.parametrize("crashes", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_t68_nothing_is_published_that_a_crash_undoes(
    crashes: int,
    lazy_postgres: EmbeddedPostgres,
    nats_server: EmbeddedNats,
    relay_process: Starter,
    measured: Callable[..., None],
) -> None:
    relay = relay_process(OUTBOX_DATABASE_URL=lazy_postgres.url, **QUICK)
    committed: set[str] = set()
    with spying(nats_server.url) as spy:
        for _ in range(crashes):
            with _writing(lazy_postgres.url, committed):
                _wait_for_more(spy, 500)
                # So that there is something to be lost: nobody claims what is committed from here on.
                relay.freeze()
                time.sleep(0.2)
                lazy_postgres.kill()
            relay.thaw()
            lazy_postgres.start()
        with outbox_table(lazy_postgres.url) as table:
            table.wait_until_settled()
            rows = {row.event_id for row in table.rows()}
        published = {event_id for event_id, _, _ in spy.heard}
    measured(published=len(published), committed=len(committed), undone=len(committed - rows))
    assert committed - rows, "no crash has undone a commit"
    assert published - rows == set()
    assert rows - published == set()


@contextmanager
def _writing(url: str, committed: set[str]) -> Iterator[None]:
    """Write one event a transaction, in two threads, for the time of the context; a crash ends it.

    Args:
        url: of the database.
        committed: takes the ids of events whose commit was confirmed.
    """
    done = threading.Event()

    def write() -> None:
        with suppress(psycopg.OperationalError), psycopg.connect(url, autocommit=True) as conn:
            while not done.is_set():
                committed.update(insert(conn, about()))

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


def _wait_for_more(spy: Spy, events: int) -> None:
    enough = len(spy.heard) + events
    wait_for(lambda: len(spy.heard) >= enough, 15, f"{events} events to pass")
