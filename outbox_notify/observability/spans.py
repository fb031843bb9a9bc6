"""A span for each batch that is published, linked to the spans in which its events were written."""
# Imported when whoever started the process has set OpenTelemetry up, such as `opentelemetry-instrument`.
# ruff: noqa: PLC0415

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

from outbox_notify.relay.outcomes import Outcome, Published

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.trace import Link, Tracer

    from outbox_notify.relay.claims import ClaimedEvent

# As many as SDKs keep by default.
_MOST_LINKS = 128
_NANOSECONDS = 1e9


class Spans:
    """Takes notes of batches as spans; those in which no event has a trace leave none.

    Args:
        tracer: makes spans.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def __call__(self, event: str, /, **facts: Any) -> None:
        """Take note of an event of the relay."""
        if event == "batch.answered":
            self._answered(**facts)

    def _answered(self, outcomes: Mapping[ClaimedEvent, Outcome], seconds: float) -> None:
        from opentelemetry.trace import SpanKind

        through = [event for event, outcome in outcomes.items() if isinstance(outcome, Published)]
        links = [link for link, _ in zip(_links(through), range(_MOST_LINKS), strict=False)]
        if links:
            ended = time.time_ns()
            about: dict[str, str | int] = {
                "messaging.system": "nats",
                "messaging.batch.message_count": len(through),
            }
            began = ended - int(seconds * _NANOSECONDS)
            span = self._tracer.start_span(
                "publish outbox", kind=SpanKind.PRODUCER, links=links, start_time=began, attributes=about
            )
            span.end(ended)


def spans() -> Spans | None:
    """Return what makes spans; None unless OpenTelemetry is set up in this process."""
    if "opentelemetry.trace" not in sys.modules:
        return None
    from opentelemetry import trace

    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return None
    return Spans(trace.get_tracer("outbox_notify"))


def _links(events: list[ClaimedEvent]) -> Iterator[Link]:
    from opentelemetry.trace import Link, get_current_span
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    propagator = TraceContextTextMapPropagator()
    for event in events:
        if event.headers is None or "traceparent" not in event.headers.lower():
            continue
        carrier = {name.lower(): value for name, value in json.loads(event.headers).items()}
        written = get_current_span(propagator.extract(carrier)).get_span_context()
        if written.is_valid:
            yield Link(written)
