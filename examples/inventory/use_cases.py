"""What the service does. Each function runs in one transaction: the change and its event are there, or neither."""

from __future__ import annotations

from typing import TYPE_CHECKING

from examples.inventory import stock
from examples.inventory.documents import Document, Kind, Movement
from examples.inventory.events import record

if TYPE_CHECKING:
    from uuid import UUID

    from psycopg import AsyncConnection

_ADD = """
    INSERT INTO inventory.document (kind, tenant_id, warehouse_id, lines)
    VALUES (%(kind)s, %(tenant_id)s, %(warehouse_id)s, %(lines)s)
    RETURNING id
"""
# Who asks for the same document at the same time waits here, and then finds it done.
_LOCK = """
    SELECT warehouse_id, lines, done_at IS NOT NULL AS done
    FROM inventory.document
    WHERE kind = %(kind)s AND tenant_id = %(tenant_id)s AND id = %(id)s
    FOR UPDATE
"""
_FINISH = "UPDATE inventory.document SET done_at = now() WHERE id = %(id)s"


class Unknown(Exception):
    """This tenant has no such document."""


class AlreadyDone(Exception):
    """The receipt is validated, or the delivery shipped: that happens once."""


async def add_document(connection: AsyncConnection, kind: Kind, tenant_id: str, movement: Movement) -> UUID:
    """Write down what is to come or to leave, and return its id. Nothing moves yet, so there is no event."""
    values = {**stock.parameters(tenant_id, movement), "kind": kind}
    rows = await (await connection.execute(_ADD, values)).fetchall()
    document_id: UUID = rows[0][0]
    return document_id


async def validate_receipt(connection: AsyncConnection, tenant_id: str, receipt_id: UUID) -> None:
    """Add what was received to the stock.

    Raises:
        Unknown: there is no such receipt.
        AlreadyDone: it was validated before.
    """
    receipt = await _lock(connection, "receipt", tenant_id, receipt_id)
    await stock.add(connection, tenant_id, receipt.movement)
    await _finish(connection, receipt)
    await record(connection, "inventory.receipt.validated", receipt)


async def ship_delivery(connection: AsyncConnection, tenant_id: str, delivery_id: UUID) -> None:
    """Take what is delivered from the stock.

    Raises:
        Unknown: there is no such delivery.
        AlreadyDone: it was shipped before.
        stock.NotEnough: the warehouse does not hold that much.
    """
    delivery = await _lock(connection, "delivery", tenant_id, delivery_id)
    await stock.take(connection, tenant_id, delivery.movement)
    await _finish(connection, delivery)
    await record(connection, "inventory.delivery.shipped", delivery)


async def _lock(connection: AsyncConnection, kind: Kind, tenant_id: str, document_id: UUID) -> Document:
    values = {"kind": kind, "tenant_id": tenant_id, "id": document_id}
    row = await (await connection.execute(_LOCK, values)).fetchone()
    if row is None:
        raise Unknown(f"there is no {kind} {document_id}")
    warehouse_id, lines, done = row
    if done:
        raise AlreadyDone(f"{kind} {document_id} is done already")
    return Document(kind, document_id, tenant_id, Movement(warehouse_id, lines))


async def _finish(connection: AsyncConnection, document: Document) -> None:
    await connection.execute(_FINISH, {"id": document.id})
