"""Accounting for what a run left in the stream. No I/O."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Account:
    """What the stream holds after a run.

    Args:
        events: different ones.
        duplicates: messages beyond the first of their event.
        out_of_order: first messages that come after a later event of their aggregate.
    """

    events: int
    duplicates: int
    out_of_order: int


def account(bodies: Iterable[bytes]) -> Account:
    """Read the bodies of all messages, in the order of the stream.

    Args:
        bodies: JSON objects with `n`, the order in which the events were written, and `aggregate`.
    """
    seen: set[int] = set()
    latest: dict[str, int] = {}
    duplicates = out_of_order = 0
    for body in bodies:
        event = json.loads(body)
        number, aggregate = event["n"], event["aggregate"]
        if number in seen:
            duplicates += 1
            continue
        seen.add(number)
        out_of_order += number < latest.get(aggregate, 0)
        latest[aggregate] = max(number, latest.get(aggregate, 0))
    return Account(len(seen), duplicates, out_of_order)
