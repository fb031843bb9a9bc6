"""Events that are told apart by the number in their body, and what arrives of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from outbox_notify import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from outbox_notify.testing import StreamMessage

# Lets a relay publish what is due, with settings as keywords, and returns what that brought to the stream.
Drain: TypeAlias = "Callable[..., list[StreamMessage]]"

# The columns of an event about the one article.
ARTICLE = {"aggregate_type": "article", "aggregate_id": "A-1"}


def moved(n: int) -> Event:
    """Return an event about the one article."""
    return Event("acme", "stock.moved", {"n": n}, aggregate_type="article", aggregate_id="A-1")


def body(n: int) -> str:
    """Return its body as a plain INSERT takes it."""
    return f'{{"n": {n}}}'


def numbers(messages: Iterable[StreamMessage]) -> list[int]:
    """Return the numbers of events in the order of their arrival."""
    return [int(message.json["n"]) for message in messages]
