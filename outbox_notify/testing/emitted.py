"""Assertions about the events that the code under test wrote, inside the transaction that the test rolls back.

A failure shows what was emitted instead, payloads included: they are the test's own. It ends, as pytest tells it, in
the line of the test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack, overload

from outbox_notify.postgres.queries import query
from outbox_notify.testing.asking import ask, ask_async
from outbox_notify.testing.events import EmittedEvent, check_names, how_it_differs
from outbox_notify.testing.failures import not_as_often, unwanted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from outbox_notify.testing.events import Expected


@overload
def assert_emitted(
    connection: Any,
    event_type: str,
    *,
    times: None = None,
    schema: str = "public",
    **expected: Unpack[Expected],
) -> EmittedEvent: ...
@overload
def assert_emitted(
    connection: Any, event_type: str, *, times: int, schema: str = "public", **expected: Unpack[Expected]
) -> list[EmittedEvent]: ...
def assert_emitted(
    connection: Any,
    event_type: str,
    *,
    times: int | None = None,
    schema: str = "public",
    **expected: Unpack[Expected],
) -> EmittedEvent | list[EmittedEvent]:
    """Return the one event that is as expected; or, with `times`, that many of them as a list.

    Everything counts that the connection sees: what its own transaction wrote, and what was committed before.

    Args:
        connection: a connection or cursor of psycopg, a session or connection of SQLAlchemy, or Django's.
        event_type: of the event.
        times: how many there must be.
        schema: where the outbox is.
        expected: any of `tenant_id`; `aggregate`, a pair of type and id; `payload`; `headers`. Of a payload and of
            headers only the keys that you name are compared, in nested objects too. In place of any value may stand
            a type, or a function that returns whether the value is right. Bytes are compared with a body of bytes.

    Raises:
        AssertionError: there are more or fewer; it shows what was emitted, and how that differs.
    """
    __tracebackhide__ = True
    events = emitted(connection, schema=schema)
    return _counted(events, event_type, times, expected)


@overload
async def assert_emitted_async(
    connection: Any,
    event_type: str,
    *,
    times: None = None,
    schema: str = "public",
    **expected: Unpack[Expected],
) -> EmittedEvent: ...
@overload
async def assert_emitted_async(
    connection: Any, event_type: str, *, times: int, schema: str = "public", **expected: Unpack[Expected]
) -> list[EmittedEvent]: ...
async def assert_emitted_async(
    connection: Any,
    event_type: str,
    *,
    times: int | None = None,
    schema: str = "public",
    **expected: Unpack[Expected],
) -> EmittedEvent | list[EmittedEvent]:
    """Do as `assert_emitted` does, on asynchronous connections of psycopg, SQLAlchemy and asyncpg."""
    __tracebackhide__ = True
    events = await emitted_async(connection, schema=schema)
    return _counted(events, event_type, times, expected)


def refute_emitted(
    connection: Any, event_type: str | None = None, *, schema: str = "public", **expected: Unpack[Expected]
) -> None:
    """Fail when there is an event of this type, or any at all, that is as described; arguments as `assert_emitted`.

    Raises:
        AssertionError: there is one; it shows all that was emitted.
    """
    __tracebackhide__ = True
    _refuse(emitted(connection, schema=schema), event_type, expected)


async def refute_emitted_async(
    connection: Any, event_type: str | None = None, *, schema: str = "public", **expected: Unpack[Expected]
) -> None:
    """Do as `refute_emitted` does, on asynchronous connections."""
    __tracebackhide__ = True
    _refuse(await emitted_async(connection, schema=schema), event_type, expected)


def emitted(connection: Any, *, schema: str = "public") -> list[EmittedEvent]:
    """Return all events that the connection sees, in the order in which they were written."""
    return [EmittedEvent.read(text) for text in ask(connection, _statement(schema))]


async def emitted_async(connection: Any, *, schema: str = "public") -> list[EmittedEvent]:
    """Do as `emitted` does, on asynchronous connections."""
    return [EmittedEvent.read(text) for text in await ask_async(connection, _statement(schema))]


def _statement(schema: str) -> str:
    return query("testing_emitted", schema).as_string(None)


def _counted(
    events: Sequence[EmittedEvent], event_type: str, times: int | None, expected: Expected
) -> EmittedEvent | list[EmittedEvent]:
    __tracebackhide__ = True
    check_names(expected)
    matching = [event for event in events if not how_it_differs(event, event_type, expected)]
    if len(matching) != (1 if times is None else times):
        raise AssertionError(not_as_often(events, event_type, times, expected))
    return matching[0] if times is None else matching


def _refuse(events: Sequence[EmittedEvent], event_type: str | None, expected: Expected) -> None:
    __tracebackhide__ = True
    check_names(expected)
    if not all(how_it_differs(event, event_type, expected) for event in events):
        raise AssertionError(unwanted(events, event_type, expected))
