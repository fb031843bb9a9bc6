"""A writer that takes its time between its event and its commit, while others go on."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest

from outbox_notify import Event, emit
from tests.support.checker import out_of_order
from tests.support.outbox import OutboxTable
from tests.support.stream import read_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from outbox_notify.embedded import EmbeddedNats
    from tests.support.ages import Ages
    from tests.support.command import Starter

pytestmark = pytest.mark.fault

NO_SWEEP = {"OUTBOX_SWEEP_INTERVAL": "10m"}
COMMITS_AFTER = 3.0
KEYS = 6
LATEST = 0.25 + 0.25


class Busy:
    """A writer that serializes, one event a transaction, on keys in turn.

    Args:
        url: of the database.
        keys: the aggregates that it writes about.
        ages: notes its commits.
        done: set when it is to stop.
    """

    def __init__(self, url: str, keys: list[str], ages: Ages, done: threading.Event) -> None:
        self._url, self._keys, self._ages, self._done = url, keys, ages, done
        self.ids: list[str] = []

    def run(self) -> None:
        """Write until told to stop."""
        with psycopg.connect(self._url) as conn:
            while not self._done.is_set():
                for key in self._keys:
                    ids = _emit(conn, key)
                    self._ages.commit(conn, ids)
                    self.ids += ids


@contextmanager
def busy(*writers: Busy) -> Iterator[None]:
    """Let writers write for the time of the context."""
    threads = [threading.Thread(target=writer.run) for writer in writers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for writer in writers:
            writer._done.set()
        for thread in threads:
            thread.join()


@pytest.mark.slow
def test_t67_an_event_whose_commit_takes_seconds_keeps_its_order_and_is_not_left_to_the_sweep(
    database: str,
    conn: psycopg.Connection,
    ages: Ages,
    nats_server: EmbeddedNats,
    relay_process: Starter,
    measured: Callable[..., None],
) -> None:
    for _ in range(2):
        relay_process(**NO_SWEEP).wait_for("wake.ready")
    done = threading.Event()
    keys = [f"busy-{number}" for number in range(KEYS)]
    others = [Busy(database, keys, ages, done) for _ in range(2)]
    behind = Busy(database, ["slow"], ages, done)
    slow_ids = []
    with busy(*others, behind), psycopg.connect(database) as slow:
        for _ in range(2):
            time.sleep(0.5)
            ids = _emit(slow, "slow")
            passed_by = len(ages.spy.heard)
            waiting = len(behind.ids)
            time.sleep(COMMITS_AFTER)
            passed_by = len(ages.spy.heard) - passed_by
            assert passed_by > 100, "the others were not busy: nothing has passed the slow event by"
            assert len(behind.ids) - waiting <= 1, "the key's lock was not held"
            ages.commit(slow, ids)
            slow_ids += ids
            time.sleep(0.2)
    OutboxTable(conn).wait_until_settled()
    stream = read_stream(nats_server.url)
    measured(slow=ages.of(slow_ids), latest=max(ages.all()), events=len(stream))
    assert out_of_order(OutboxTable(conn).rows(), stream) == []
    assert {message.event_id for message in stream} == ages.committed.keys()
    assert len(stream) == len(ages.committed)
    assert max(ages.of(slow_ids)) < LATEST
    assert max(ages.all()) < 1


def _emit(conn: psycopg.Connection, key: str) -> list[str]:
    event = Event("acme", "stock.moved", {"key": key}, aggregate_type="article", aggregate_id=key)
    return [str(event_id) for event_id in emit(conn, event, serialize=True)]
