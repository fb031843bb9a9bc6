"""Whatever library a service writes with, its consumers cannot tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from outbox_notify import Event
from tests.support.command import run
from tests.support.libraries import LIBRARIES, using
from tests.support.stream import read_stream

if TYPE_CHECKING:
    from outbox_notify.embedded import EmbeddedNats
    from tests.support.stream import StreamMessage

OWN = {"Nats-Msg-Id", "ce-id", "ce-time", "ce-tenantid"}


def events(tenant: str) -> list[Event]:
    order: dict[str, Any] = {"aggregate_type": "order", "aggregate_id": "5 % Größe"}
    trace = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    return [
        Event(tenant, "order.paid", {"größe": [1, 2.5, None, "\U0001f600"]}, **order, headers=trace),
        Event(tenant, "order.printed", payload_bytes=b"\0%PDF", content_type="application/pdf", **order),
        Event(tenant, "order.shipped", "", **order),
    ]


def seen(messages: list[StreamMessage], tenant: str) -> list[tuple[str, bytes, dict[str, str]]]:
    """Return what a tenant's consumers see, without what is each message's own."""
    return [
        (
            message.subject.replace(tenant, "tenant"),
            message.body,
            {name: value for name, value in message.headers.items() if name not in OWN},
        )
        for message in messages
        if message.headers["ce-tenantid"] == tenant
    ]


def test_messages_are_the_same_whatever_library_wrote_them(database: str, nats_server: EmbeddedNats) -> None:
    written = {}
    for library in LIBRARIES:
        with using(library, database) as link, link.transaction():
            written[library.__name__] = link.emit(*events(library.__name__))
    done = run("relay", "--drain", OUTBOX_DATABASE_URL=database, OUTBOX_NATS_URL=nats_server.url)
    assert done.returncode == 0, done.stderr

    messages = read_stream(nats_server.url)
    first = seen(messages, "Psycopg")
    assert [body for _, body, _ in first] == [
        '{"größe": [1, 2.5, null, "\U0001f600"]}'.encode(),
        b"\0%PDF",
        b'""',
    ]
    for tenant, event_ids in written.items():
        assert seen(messages, tenant) == first
        ids = [message.event_id for message in messages if message.headers["ce-tenantid"] == tenant]
        assert ids == [str(event_id) for event_id in event_ids]
