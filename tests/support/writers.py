"""Services that write events: half of them call `emit`, half insert rows as any language would."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Self

import psycopg
from psycopg import sql

from outbox_notify import Event, emit
from tests.support.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future
    from types import TracebackType

_ROLLBACKS = _SAVEPOINTS = 0.1
_MOST_EVENTS = 8
_STOCK = "CREATE TABLE IF NOT EXISTS stock (article text PRIMARY KEY, moves int NOT NULL DEFAULT 0)"


@dataclass
class Writers:
    """Writers in threads of their own; as a context manager they write until its end.

    The order of ids is the order of commits: who emits serializes, who inserts locks the row of the business
    change first. The two never share an aggregate.

    Args:
        url: of the database.
        writers: how many; every second one calls `emit`.
        aggregates: how many articles they move.
        pause: seconds between transactions of one writer.
        events: stop after about so many; None means at the end of the context.
        seed: of their choices.
    """

    url: str
    writers: int = 4
    aggregates: int = 40
    pause: float = 0.0
    events: int | None = None
    seed: int = 1
    ledger: Ledger = field(default_factory=Ledger)
    _stop: threading.Event = field(default_factory=threading.Event)
    _running: list[Future[None]] = field(default_factory=list)

    def __enter__(self) -> Self:
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute(_STOCK)
            conn.execute(
                "INSERT INTO stock (article) SELECT 'article-' || n FROM generate_series(0, %s - 1) AS n"
                " ON CONFLICT DO NOTHING",
                [self.aggregates],
            )
        self._pool = ThreadPoolExecutor(self.writers)
        self._running = [self._pool.submit(self._write, number) for number in range(self.writers)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self.wait()
        self._pool.shutdown()

    def wait(self) -> None:
        """Return when all of them have written what they were to write; raise what made one of them end early."""
        for running in self._running:
            running.result()

    def _write(self, number: int) -> None:
        writer = _Writer(Random(self.seed * 1000 + number), number, self)  # noqa: S311  # choices, not secrets
        while not self._done():
            try:
                with psycopg.connect(self.url, connect_timeout=2) as conn:
                    while not self._done():
                        writer.transaction(conn)
                        self._stop.wait(self.pause)
            except (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction):
                self._stop.wait(0.1)

    def _done(self) -> bool:
        return self._stop.is_set() or (self.events is not None and len(self.ledger.committed) >= self.events)


@dataclass
class _Writer:
    random: Random
    number: int
    all: Writers
    written: int = 0

    def transaction(self, conn: psycopg.Connection) -> None:
        """Write events, perhaps with a business change before, perhaps more of them in a savepoint that is undone."""
        undone: set[str] = set()
        rolls_back = self.random.random() < _ROLLBACKS
        articles = self._articles()
        with conn.transaction(force_rollback=rolls_back) as transaction:
            if not self._emits:
                self._change_stock(conn, articles)
            kept = self._insert(conn, [self._event(article) for article in articles])
            if self.random.random() < _SAVEPOINTS:
                with conn.transaction(force_rollback=True):
                    undone = self._insert(conn, [self._event(articles[0])])
        ledger = self.all.ledger
        ledger.roll_back(undone)
        if rolls_back:
            ledger.roll_back(kept)
        # psycopg leaves the block without an error, and without a commit, when it found the connection closed.
        elif transaction.status is psycopg.Transaction.Status.COMMITTED:
            ledger.commit(kept)

    @property
    def _emits(self) -> bool:
        return self.number % 2 == 0

    def _articles(self) -> list[str]:
        own = range(self.number % 2, self.all.aggregates, 2)
        return [f"article-{self.random.choice(own)}" for _ in range(self.random.randint(1, _MOST_EVENTS))]

    def _event(self, article: str) -> Event:
        self.written += 1
        body = {"writer": self.number, "n": self.written, "article": article}
        if self.random.random() < 0.1:
            return Event("acme", "stock.counted", body)
        if self.random.random() < 0.1:
            return Event(
                "acme",
                "stock.labelled",
                payload_bytes=self.random.randbytes(64),
                content_type="application/octet-stream",
                aggregate_type="article",
                aggregate_id=article,
            )
        return Event(
            "acme",
            "stock.moved",
            body,
            aggregate_type="article",
            aggregate_id=article,
            headers={"traceparent": f"00-{self.written:032x}-00f067aa0ba902b7-01"},
        )

    def _change_stock(self, conn: psycopg.Connection, articles: Sequence[str]) -> None:
        """Make the business change; its row locks are what orders the events of those who insert by hand."""
        conn.execute(
            "SELECT FROM stock WHERE article = ANY(%s) ORDER BY article FOR UPDATE", [list(articles)]
        )
        conn.execute("UPDATE stock SET moves = moves + 1 WHERE article = ANY(%s)", [list(articles)])

    def _insert(self, conn: psycopg.Connection, events: Sequence[Event]) -> set[str]:
        """Write events, note them as attempted, and return their ids."""
        if self._emits:
            event_ids = [str(event_id) for event_id in emit(conn, *events, serialize=True)]
        else:
            event_ids = insert(conn, *events)
        self.all.ledger.attempt(dict(zip(event_ids, events, strict=True)))
        return set(event_ids)


_COLUMNS = (
    "tenant_id",
    "event_type",
    "aggregate_type",
    "aggregate_id",
    "content_type",
    "headers",
    "payload",
    "payload_bytes",
)


def insert(conn: psycopg.Connection, *events: Event) -> list[str]:
    """Insert events by one plain statement and return the ids that the database made, in their order."""
    rows = [
        [
            getattr(event, {"headers": "headers_json", "payload": "payload_json"}.get(name, name))
            for name in _COLUMNS
        ]
        for event in events
    ]
    row = sql.SQL("({})").format(sql.SQL(", ").join([sql.Placeholder()] * len(_COLUMNS)))
    statement = sql.SQL("INSERT INTO event_outbox ({}) VALUES {} RETURNING event_id::text").format(
        sql.SQL(", ").join(map(sql.Identifier, _COLUMNS)), sql.SQL(", ").join([row] * len(rows))
    )
    return [found[0] for found in conn.execute(statement, [value for values in rows for value in values])]
