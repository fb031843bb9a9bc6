"""Others read our messages: a client of NATS that is not nats-py, and the SDK of CloudEvents."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_binary_event
from cloudevents.core.v1.event import CloudEvent
from natsrpy import Nats
from natsrpy.js import PullConsumerConfig

from outbox_notify import Event, emit
from outbox_notify.testing import drain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from natsrpy.js import JetStreamMessage, PullConsumer

    from outbox_notify.embedded import EmbeddedNats
    from outbox_notify.testing import StreamMessage

pytestmark = pytest.mark.anyio

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
EVENTS = [
    Event(
        "acme",
        "goods.received",
        {"quantity": 5, "name": "Käse 🧀"},
        aggregate_type="article",
        aggregate_id='Köln "A" 100%/1',
        headers={"traceparent": TRACE, "X-Note": "größer"},
    ),
    Event("acme", "goods.counted", [1, 2.5, None]),
    Event("globex", "label.printed", payload_bytes=b"\x89PNG\r\n\x00\xff", content_type="image/png"),
    Event("globex", "note.taken", payload_bytes="größer".encode(), content_type="text/plain; charset=utf-8"),
    Event("globex", "part.moved", {"n": 1}, content_type="application/vnd.acme.part+json"),
]
BODIES = [event.payload if event.payload_bytes is None else event.payload_bytes for event in EVENTS]


def publish(database: str, nats_url: str, **settings: Any) -> tuple[list[UUID], list[StreamMessage]]:
    """Write the events, let a relay publish them, and return their ids and what nats-py reads."""
    with psycopg.connect(database) as connection:
        event_ids = emit(connection, *EVENTS)
    return event_ids, drain(database, nats_url, **settings)


@asynccontextmanager
async def natsrpy_consumer(url: str) -> AsyncIterator[PullConsumer]:
    """Hold a durable consumer of natsrpy open."""
    client = Nats(addrs=[url])
    await client.startup()
    try:
        stream = await (await client.jetstream()).streams.get("OUTBOX")
        yield await stream.consumers.create(PullConsumerConfig(durable_name="warehouse"))
    finally:
        await client.shutdown()


async def consume(url: str, count: int) -> Sequence[JetStreamMessage]:
    """Fetch and acknowledge so many messages as the consumer `warehouse`."""
    async with natsrpy_consumer(url) as consumer:
        messages = await consumer.fetch(max_messages=count, timeout=10)
        for message in messages:
            await message.ack(double=True)
        return messages


def as_cloudevent(message: StreamMessage) -> CloudEvent:
    """Return what the SDK makes of the headers and the body."""
    event = from_binary_event(HTTPMessage(message.headers, message.body))
    assert isinstance(event, CloudEvent)
    return event


async def test_natsrpy_reads_what_nats_py_reads(database: str, nats_server: EmbeddedNats) -> None:
    event_ids, expected = publish(database, nats_server.url)

    messages = await consume(nats_server.url, len(EVENTS))

    assert [(message.subject, message.payload, message.headers) for message in messages] == [
        (message.subject, message.body, message.headers) for message in expected
    ]
    assert [UUID(message.headers["Nats-Msg-Id"]) for message in messages] == event_ids
    assert [message.stream_sequence for message in messages] == [1, 2, 3, 4, 5]
    assert messages[0].subject == "events.acme.goods.received"
    assert json.loads(messages[0].payload) == BODIES[0]
    assert (messages[0].headers["traceparent"], messages[0].headers["X-Note"]) == (TRACE, "größer")
    assert messages[2].payload == BODIES[2]


async def test_natsrpy_goes_on_where_it_stopped(database: str, nats_server: EmbeddedNats) -> None:
    event_ids, _ = publish(database, nats_server.url)

    parts = [await consume(nats_server.url, 2), await consume(nats_server.url, 3)]

    assert [UUID(message.headers["ce-id"]) for part in parts for message in part] == event_ids


def test_the_cloudevents_sdk_reads_every_attribute(database: str, nats_server: EmbeddedNats) -> None:
    before = datetime.now(UTC) - timedelta(seconds=5)
    event_ids, messages = publish(database, nats_server.url, ce_source="//shop/Köln eins")

    received, *others = map(as_cloudevent, messages)

    time = received.get_time()
    assert time is not None
    assert before < time < datetime.now(UTC) + timedelta(seconds=5)
    assert received.get_attributes() == {
        "specversion": "1.0",
        "id": str(event_ids[0]),
        "type": "goods.received",
        "source": "//shop/Köln eins",
        "subject": 'Köln "A" 100%/1',
        "time": time,
        "tenantid": "acme",
        "partitionkey": 'article/Köln "A" 100%/1',
        "datacontenttype": "application/json",
    }
    assert [event.get_subject() for event in others] == [None] * 4
    assert [event.get_extension("tenantid") for event in others] == ["acme", "globex", "globex", "globex"]
    assert [event.get_datacontenttype() for event in others] == [event.content_type for event in EVENTS[1:]]


def test_the_cloudevents_sdk_reads_every_body(database: str, nats_server: EmbeddedNats) -> None:
    _, messages = publish(database, nats_server.url)

    data: list[Any] = [as_cloudevent(message).get_data() for message in messages]

    # What is text by its bytes the SDK gives as text.
    assert data == [*BODIES[:3], "größer", BODIES[4]]
