"""The trace in which an event is written: handed on in its headers, so that who receives it can join it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from outbox_notify.events import MAX_HEADERS_BYTES

if TYPE_CHECKING:
    from outbox_notify.events import Event

_NAMES = {"traceparent", "tracestate"}


def current_trace() -> dict[str, str]:
    """Return the current span of OpenTelemetry as W3C headers; nothing outside of spans, or without OpenTelemetry."""
    # Who is in a span has imported it. Who is not shall not pay for the import.
    if "opentelemetry.trace" not in sys.modules:
        return {}
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415  # see above

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier


def headers_with(event: Event, trace: dict[str, str]) -> str:
    """Return the headers of an event as JSON, with a trace unless it brings its own, or has no room for one."""
    if not trace or _NAMES.intersection(map(str.lower, event.headers)):
        return event.headers_json
    text = json.dumps({**event.headers, **trace}, ensure_ascii=False)
    return text if len(text.encode()) <= MAX_HEADERS_BYTES else event.headers_json
