"""The demo's service: a business change and its events in one transaction, on an asynchronous connection."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anyio

from outbox_notify.demo.stage import SCHEMA
from outbox_notify.demo.warehouse import Document, Transaction, Warehouse
from outbox_notify.postgres.queries import query
from outbox_notify.writers.psycopg import emit_async

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from psycopg import AsyncConnection

    from outbox_notify.demo.account import Ledger


class DemoWriter:
    """A service that makes transactions, most of which it commits.

    Args:
        connection: in autocommit mode, with a migrated database and the demo's table.
        ledger: is told of every event.
        tenant_id: whose business it is; one writer each, so that it alone decides their order.
        random: decides what happens.
    """

    def __init__(self, connection: AsyncConnection, ledger: Ledger, tenant_id: str, random: Random) -> None:
        self._connection = connection
        self._ledger = ledger
        self._random = random
        self._warehouse = Warehouse(tenant_id, random)

    async def write(self, events: int) -> None:
        """Make transactions as fast as they go, until so many events are committed, and one that is not."""
        committed = 0
        while committed < events:
            transaction = self._warehouse.next_transaction(at_most=events - committed)
            committed += await self._make(transaction)
        await self._make(Transaction(self._warehouse.next_transaction().documents, commits=False))

    async def keep_writing(self, pause: float, stopping: Callable[[], bool]) -> None:
        """Make a transaction about every `pause` seconds until `stopping`."""
        while not stopping():
            await self._make(self._warehouse.next_transaction())
            await anyio.sleep(self._random.uniform(0, 2 * pause))

    async def _make(self, transaction: Transaction) -> int:
        """Carry out one transaction and return how many events it committed."""
        async with self._connection.transaction(force_rollback=not transaction.commits):
            for document in transaction.documents:
                await self._connection.execute(query("demo_movement", SCHEMA), _movement(document))
            events = transaction.events()
            event_ids = [str(event_id) for event_id in await emit_async(self._connection, *events)]
            if transaction.commits:
                now = time.monotonic()
                for event_id, event in zip(event_ids, events, strict=True):
                    self._ledger.committing(event_id, event, now)
            else:
                self._ledger.rolled_back.update(event_ids)
        if not transaction.commits:
            return 0
        self._warehouse.commit(transaction)
        return len(event_ids)


def _movement(document: Document) -> dict[str, str | int]:
    return {
        "tenant_id": document.tenant_id,
        "document": document.number,
        "step": document.step + 1,
        "quantity": document.quantity,
    }
