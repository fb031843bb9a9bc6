"""The stock per warehouse and product: never below zero, however many take from it at once."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    from examples.inventory.documents import Movement, Name

# Products always in the same order here and below: transactions that lock rows in different orders deadlock.
_ADD = """
    INSERT INTO inventory.stock AS held (tenant_id, warehouse_id, product_id, quantity)
    SELECT %(tenant_id)s, %(warehouse_id)s, product_id, sum(quantity)
    FROM jsonb_to_recordset(%(lines)s) AS line (product_id jsonb, quantity bigint)
    GROUP BY product_id
    ORDER BY product_id
    ON CONFLICT (tenant_id, warehouse_id, product_id)
    DO UPDATE SET quantity = held.quantity + excluded.quantity
"""
_LOCK = """
    SELECT product_id, quantity
    FROM inventory.stock
    WHERE tenant_id = %(tenant_id)s AND warehouse_id = %(warehouse_id)s
      AND product_id IN (SELECT line -> 'product_id' FROM jsonb_array_elements(%(lines)s) AS line)
    ORDER BY product_id
    FOR UPDATE
"""
_TAKE = """
    UPDATE inventory.stock AS held SET quantity = held.quantity - taken.quantity
    FROM (
        SELECT product_id, sum(quantity) AS quantity
        FROM jsonb_to_recordset(%(lines)s) AS line (product_id jsonb, quantity bigint)
        GROUP BY product_id
    ) AS taken
    WHERE tenant_id = %(tenant_id)s AND warehouse_id = %(warehouse_id)s
      AND held.product_id = taken.product_id
"""
_SHOW = """
    SELECT warehouse_id, product_id, quantity
    FROM inventory.stock
    WHERE tenant_id = %(tenant_id)s
    ORDER BY warehouse_id, product_id
"""


class NotEnough(Exception):
    """There is less of a product than is to be taken."""


async def add(connection: AsyncConnection, tenant_id: str, movement: Movement) -> None:
    """Add the goods, also of products that this warehouse has never seen."""
    await connection.execute(_ADD, parameters(tenant_id, movement))


async def take(connection: AsyncConnection, tenant_id: str, movement: Movement) -> None:
    """Take the goods, all or none; others who want the same products wait until this transaction ends.

    Raises:
        NotEnough: the transaction has to be rolled back.
    """
    values = parameters(tenant_id, movement)
    held: dict[Name, int] = dict(await (await connection.execute(_LOCK, values)).fetchall())
    for product_id, wanted in _wanted(movement).items():
        if held.get(product_id, 0) < wanted:
            raise NotEnough(f"there is not enough of product {product_id}")
    await connection.execute(_TAKE, values)


async def show(connection: AsyncConnection, tenant_id: str) -> list[dict[str, Any]]:
    """Return what a tenant has, also the zeros that were more once."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SHOW, {"tenant_id": tenant_id})
        return await cursor.fetchall()


def parameters(tenant_id: str, movement: Movement) -> dict[str, object]:
    """Return what the statements about a movement call by name, here and elsewhere."""
    return {
        "tenant_id": tenant_id,
        "warehouse_id": Jsonb(movement.warehouse_id),
        "lines": Jsonb(movement.lines),
    }


def _wanted(movement: Movement) -> Counter[Name]:
    """Return how much of each product is needed in all."""
    wanted: Counter[Name] = Counter()
    for line in movement.lines:
        wanted[line["product_id"]] += line["quantity"]
    return wanted
