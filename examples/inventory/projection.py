"""The stock as the events tell it: the same rows as in `stock`, made by the consumer without a look at those."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row

from examples.inventory.stock import parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg import AsyncConnection

    from examples.inventory.documents import Movement

#: What an event does to the stock. Sums come out the same in any order, so a delivery may even be told of before
#: the receipts that filled it: those are other aggregates, whose order among each other nobody promises.
SIGNS: Mapping[str, int] = {"inventory.receipt.validated": 1, "inventory.delivery.shipped": -1}

_APPLY = """
    INSERT INTO inventory.projection AS known (tenant_id, warehouse_id, product_id, quantity)
    SELECT %(tenant_id)s, %(warehouse_id)s, product_id, sum(quantity) * %(sign)s
    FROM jsonb_to_recordset(%(lines)s) AS line (product_id jsonb, quantity bigint)
    GROUP BY product_id
    ORDER BY product_id
    ON CONFLICT (tenant_id, warehouse_id, product_id)
    DO UPDATE SET quantity = known.quantity + excluded.quantity
"""
_SHOW = """
    SELECT warehouse_id, product_id, quantity
    FROM inventory.projection
    WHERE tenant_id = %(tenant_id)s
    ORDER BY warehouse_id, product_id
"""


async def apply(connection: AsyncConnection, tenant_id: str, movement: Movement, sign: int) -> None:
    """Add the goods of an event, or take them."""
    await connection.execute(_APPLY, {**parameters(tenant_id, movement), "sign": sign})


async def show(connection: AsyncConnection, tenant_id: str) -> list[dict[str, Any]]:
    """Return what a tenant has, in the shape of `stock.show`."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SHOW, {"tenant_id": tenant_id})
        return await cursor.fetchall()
