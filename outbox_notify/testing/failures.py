"""What an assertion says when it fails: what was expected, what there is, and how the one differs from the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outbox_notify.testing.events import how_it_differs
from outbox_notify.testing.matching import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from outbox_notify.testing.events import EmittedEvent, Expected

_MOST = 20


def not_as_often(
    events: Sequence[EmittedEvent], event_type: str, times: int | None, expected: Expected
) -> str:
    """Return that there are more or fewer events than expected."""
    wanted = 1 if times is None else times
    found = sum(not how_it_differs(event, event_type, expected) for event in events)
    first = f"{_number(wanted)} of {_described(event_type, expected)} expected, {found or 'none'} found"
    return "\n".join([first, *_listed(events, event_type, expected)])


def unwanted(events: Sequence[EmittedEvent], event_type: str | None, expected: Expected) -> str:
    """Return that there is an event which should not be."""
    first = f"no event of {_described(event_type, expected)} expected"
    return "\n".join([first, *_listed(events, event_type, expected)])


def _described(event_type: str | None, expected: Expected) -> str:
    wanted = [f"{name} {shown(value)}" for name, value in expected.items()]
    return f"{event_type or 'any type'}{' with ' if wanted else ''}{', '.join(wanted)}"


def _listed(events: Sequence[EmittedEvent], event_type: str | None, expected: Expected) -> Iterator[str]:
    """Yield all events, those that are of the type with what is not as expected."""
    if not events:
        yield "nothing was emitted that this connection sees: was it written on another one, or rolled back?"
        return
    yield "emitted, in this order:"
    for number, event in enumerate(events[:_MOST], 1):
        differing = how_it_differs(event, event_type, expected)
        yield f"{'  ' if differing else '->'} {number}. {event}"
        if event_type in {None, event.event_type}:
            yield from (f"        {line}" for line in differing)
    if len(events) > _MOST:
        yield f"   and {len(events) - _MOST} more"


def _number(count: int) -> str:
    return "1 event" if count == 1 else f"{count} events"
