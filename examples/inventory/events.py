"""The service's events, all of one shape: which goods moved, where, and by which document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outbox_notify import Event, emit_async

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    from examples.inventory.documents import Document


async def record(connection: AsyncConnection, event_type: str, document: Document) -> None:
    """Write the event of a document into the outbox, in the transaction that moves the goods.

    The relay publishes it once that is committed, and never when it is rolled back.
    """
    payload = {
        "tenant_id": document.tenant_id,
        "warehouse_id": document.movement.warehouse_id,
        "lines": document.movement.lines,
        "aggregate_type": document.kind,
        "aggregate_id": str(document.id),
    }
    event = Event(
        document.tenant_id,
        event_type,
        payload,
        aggregate_type=document.kind,
        aggregate_id=str(document.id),
    )
    await emit_async(connection, event)
