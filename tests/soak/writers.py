"""The services that write during a soak: a steady one, a slow one, and one that does not wait for its commits."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

import psycopg

from outbox_notify import Event, emit
from tests.support.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_KEYS = tuple(f"article-{number}" for number in range(40))
_SLOW_KEYS = tuple(f"slow-{number}" for number in range(4))
_ROLLBACKS = 0.1
_MOST_EVENTS = 8
# How often the others write about what the slow one holds for seconds: they wait for it then.
_MEETS_SLOW = 0.003


@dataclass
class Writer:
    """One service in a thread of its own; it serializes, so the order of ids is the order of its commits.

    Args:
        name: in `pg_stat_activity`.
        url: of the database.
        random: for its choices.
        keys: the aggregates that it writes about.
        hold: shortest and longest time from its events to its commit, seconds.
        pause: seconds between transactions.
        waits: whether it waits until its commit is on disk.
        ledger: what it did.
        lost: how often its connection was lost.
    """

    name: str
    url: str
    random: Random
    keys: Sequence[str] = _KEYS
    hold: tuple[float, float] = (0.0, 0.0)
    pause: float = 0.015
    waits: bool = True
    ledger: Ledger = field(default_factory=Ledger)
    lost: int = 0
    _written: int = 0

    def run(self, stop: threading.Event) -> None:
        """Write until told to stop, over a new connection when one is lost."""
        while not stop.is_set():
            try:
                with self._connect() as conn:
                    while not stop.is_set():
                        self._transaction(conn, stop)
                        stop.wait(self.pause)
            except psycopg.OperationalError:
                self.lost += 1
                stop.wait(0.1)

    def _connect(self) -> psycopg.Connection:
        options = "" if self.waits else "-c synchronous_commit=off"
        return psycopg.connect(self.url, connect_timeout=2, application_name=self.name, options=options)

    def _transaction(self, conn: psycopg.Connection, stop: threading.Event) -> None:
        rolls_back = self.random.random() < _ROLLBACKS
        events = [self._event() for _ in range(self.random.randint(1, _MOST_EVENTS))]
        with conn.transaction(force_rollback=rolls_back) as transaction:
            event_ids = [str(event_id) for event_id in emit(conn, *events, serialize=True)]
            self.ledger.attempt(dict(zip(event_ids, events, strict=True)))
            stop.wait(self.random.uniform(*self.hold))
        if rolls_back:
            self.ledger.roll_back(set(event_ids))
        # psycopg leaves the block without an error, and without a commit, when it found the connection closed.
        elif transaction.status is psycopg.Transaction.Status.COMMITTED:
            self.ledger.commit(set(event_ids))

    def _event(self) -> Event:
        self._written += 1
        body = {"writer": self.name, "n": self._written}
        if self.random.random() < 0.1:
            return Event("acme", "stock.counted", body)
        keys = _SLOW_KEYS if self.random.random() < _MEETS_SLOW else self.keys
        return Event(
            "acme", "stock.moved", body, aggregate_type="article", aggregate_id=self.random.choice(keys)
        )


def writers(url: str, seed: int) -> list[Writer]:
    """Return the three of them; the last one does not wait for its commits."""
    made = [Random(f"{seed} writer {number}") for number in range(3)]  # noqa: S311  # no secrets
    return [
        Writer("soak steady", url, made[0]),
        Writer("soak slow", url, made[1], keys=_SLOW_KEYS, hold=(0.5, 4.0)),
        Writer("soak lazy", url, made[2], waits=False),
    ]


@contextmanager
def writing(services: Sequence[Writer]) -> Iterator[None]:
    """Let services write for the time of the context."""
    stop = threading.Event()
    threads = [threading.Thread(target=service.run, args=(stop,), daemon=True) for service in services]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def in_one_account(services: Sequence[Writer]) -> Ledger:
    """Return the ledgers as one. What was not waited for counts as committed only when its row is there."""
    together = Ledger()
    for service in services:
        together.attempt(service.ledger.attempted)
        together.roll_back(service.ledger.rolled_back)
        if service.waits:
            together.commit(service.ledger.committed)
    return together
