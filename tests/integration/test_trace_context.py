"""The trace of who writes an event travels with it, and the relay's span links to it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from outbox_notify import Event, emit
from outbox_notify.events import MAX_HEADERS_BYTES
from outbox_notify.observability.spans import Spans, spans
from outbox_notify.relay.outcomes import Published, Released
from tests.support.fakes import event

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

_HEADERS = "SELECT headers FROM event_outbox ORDER BY id"


class Tracing:
    """An OpenTelemetry of the test's own, which nobody else in the process sees."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self._provider = TracerProvider()
        self._provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self._provider.get_tracer("test")

    def close(self) -> None:
        """Export no more."""
        self._provider.shutdown()


@pytest.fixture
def tracing() -> Iterator[Tracing]:
    tracing = Tracing()
    yield tracing
    tracing.close()


def written(conn: psycopg.Connection) -> list[dict[str, str]]:
    return [row[0] for row in conn.execute(_HEADERS).fetchall()]


def test_event_carries_the_span_in_which_it_is_written(conn: psycopg.Connection, tracing: Tracing) -> None:
    with tracing.tracer.start_as_current_span("receive goods") as span:
        emit(conn, Event("acme", "a", {}), Event("acme", "a", {}, headers={"x-key": "v"}))
    emit(conn, Event("acme", "a", {}))
    context = span.get_span_context()
    parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    assert written(conn) == [{"traceparent": parent}, {"x-key": "v", "traceparent": parent}, {}]


def test_trace_that_an_event_brings_stays(conn: psycopg.Connection, tracing: Tracing) -> None:
    own = {"Traceparent": "00-11111111111111111111111111111111-2222222222222222-01"}
    with tracing.tracer.start_as_current_span("receive goods"):
        emit(conn, Event("acme", "a", {}, headers=own))
    assert written(conn) == [own]


def test_headers_that_leave_no_room_are_written_without_a_trace(
    conn: psycopg.Connection, tracing: Tracing
) -> None:
    full = {"x": "x" * (MAX_HEADERS_BYTES - 10)}
    with tracing.tracer.start_as_current_span("receive goods"):
        emit(conn, Event("acme", "a", {}, headers=full))
    assert written(conn) == [full]


def test_writing_does_not_import_opentelemetry() -> None:
    code = (
        "import sys; from outbox_notify.writers.trace_context import current_trace; import outbox_notify.watching;"
        " from outbox_notify.observability.spans import spans;"
        " assert (current_trace(), spans()) == ({}, None);"
        " assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_span_of_a_batch_links_to_those_in_which_its_events_were_written(tracing: Tracing) -> None:
    with tracing.tracer.start_as_current_span("receive goods") as span:
        context = span.get_span_context()
    parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-01"
    outcomes: dict[Any, Any] = {event(number): Published("OUTBOX", number) for number in (1, 2)}
    outcomes[_with(3, Traceparent=parent)] = Published("OUTBOX", 3)
    outcomes[_with(4, traceparent=parent)] = Released("away")
    outcomes[_with(5, traceparent="not one")] = Published("OUTBOX", 5)
    Spans(tracing.tracer)("batch.answered", outcomes=outcomes, seconds=0.5)
    _, published = tracing.exporter.get_finished_spans()
    assert [link.context.span_id for link in published.links] == [context.span_id]
    assert dict(published.attributes or {}) == {
        "messaging.system": "nats",
        "messaging.batch.message_count": 4,
    }
    assert (published.end_time or 0) - (published.start_time or 0) == 500_000_000


def test_batch_without_a_trace_leaves_no_span(tracing: Tracing) -> None:
    Spans(tracing.tracer)("batch.answered", outcomes={event(1): Published("OUTBOX", 1)}, seconds=0.5)
    Spans(tracing.tracer)("relay.ready", relay="r")
    assert tracing.exporter.get_finished_spans() == ()


def test_no_spans_are_made_when_nobody_has_set_up_where_they_go() -> None:
    assert spans() is None


def _with(number: int, **headers: str) -> Any:
    claimed = event(number)
    claimed.headers = json.dumps(headers)
    return claimed
