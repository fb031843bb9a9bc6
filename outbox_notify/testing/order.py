"""Whether events of one aggregate arrived in the order in which they were written. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from outbox_notify.testing.events import EmittedEvent

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping
    from uuid import UUID

    from outbox_notify.testing.stream import StreamMessage

K = TypeVar("K", bound="Hashable")


def order_violations(
    messages: Iterable[StreamMessage], written: Iterable[EmittedEvent | UUID | str]
) -> list[StreamMessage]:
    """Return first copies that come after a later event of their aggregate; an empty list is what is promised.

    The time of an event is no measure: it is that of the beginning of its transaction, which another may overtake.

    Args:
        messages: as they arrived; repeats may come at any place.
        written: the events, or their ids, in the order in which they were written: what `emitted` returns.
    """
    first: dict[str, StreamMessage] = {}
    for message in messages:
        first.setdefault(message.event_id, message)
    ids = [str(item.event_id if isinstance(item, EmittedEvent) else item) for item in written]
    places = {
        event_id: ((first[event_id].tenant_id, first[event_id].partition_key), place)
        for place, event_id in enumerate(ids)
        if event_id in first and first[event_id].partition_key is not None
    }
    return [first[event_id] for event_id in overtaken(first, places)]


def overtaken(arrived: Iterable[K], written: Mapping[K, tuple[Hashable, int]]) -> list[K]:
    """Return events whose first copy comes after a later one of their aggregate.

    Args:
        arrived: events in the order of arrival; only the first copy of each counts.
        written: the aggregate of an event, and its place in the order of writing; who is not in it is not judged.
    """
    latest: dict[Hashable, int] = {}
    late = []
    for event in dict.fromkeys(arrived):
        if event not in written:
            continue
        aggregate, place = written[event]
        if place < latest.get(aggregate, place):
            late.append(event)
        latest[aggregate] = max(place, latest.get(aggregate, place))
    return late
