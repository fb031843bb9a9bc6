"""Goods receipts and delivery orders, and what a caller may write into one. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict

if TYPE_CHECKING:
    from uuid import UUID

Kind = Literal["receipt", "delivery"]
#: The callers' own name for a warehouse or a product, kept as it came.
Name: TypeAlias = str | int

MOST_LINES = 1000
LARGEST_QUANTITY = 1_000_000_000
_LONGEST_NAME = 100
_LARGEST_NAME = 2**63 - 1


class Line(TypedDict):
    """How much of a product."""

    product_id: Name
    quantity: int


@dataclass(frozen=True)
class Movement:
    """Goods that come to a warehouse or leave it; several lines may name the same product."""

    warehouse_id: Name
    lines: list[Line]


@dataclass(frozen=True)
class Document:
    """A movement that was asked for, to be made once."""

    kind: Kind
    id: UUID
    tenant_id: str
    movement: Movement


class InvalidMovement(ValueError):
    """The text says what is wrong with it, in words for whoever wrote it."""


def read_movement(given: object) -> Movement:
    """Return `{"warehouse_id": ..., "lines": [{"product_id": ..., "quantity": ...}]}` as a movement.

    Raises:
        InvalidMovement: it is anything else.
    """
    body = _object(given, "the body")
    lines = body.get("lines")
    if not isinstance(lines, list) or not 1 <= len(lines) <= MOST_LINES:
        raise InvalidMovement(f"lines must be a list of 1 to {MOST_LINES} lines")
    warehouse_id = _name(body.get("warehouse_id"), "warehouse_id")
    return Movement(warehouse_id, [_line(line, f"lines[{index}]") for index, line in enumerate(lines)])


def _line(given: object, where: str) -> Line:
    line = _object(given, where)
    quantity = line.get("quantity")
    # A bool is an int to Python, but not to anybody who counts goods.
    if type(quantity) is not int or not 1 <= quantity <= LARGEST_QUANTITY:
        raise InvalidMovement(f"{where}.quantity must be a whole number from 1 to {LARGEST_QUANTITY}")
    return Line(product_id=_name(line.get("product_id"), f"{where}.product_id"), quantity=quantity)


def _object(given: object, where: str) -> dict[str, object]:
    if not isinstance(given, dict):
        raise InvalidMovement(f"{where} must be a JSON object")
    return given


def _name(given: object, where: str) -> Name:
    if isinstance(given, str) and 1 <= len(given) <= _LONGEST_NAME and given.isprintable():
        return given
    if type(given) is int and 0 <= given <= _LARGEST_NAME:
        return given
    raise InvalidMovement(f"{where} must be 1 to {_LONGEST_NAME} printable characters, or a number")
