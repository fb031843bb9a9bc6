"""Events as lines of JSON."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from outbox_notify.errors import OutboxError
from outbox_notify.event_lines import read_events

GOOD = b'{"tenant_id": "acme", "event_type": "goods.received", "payload": {"sku": "A-1"}}'
FULL = b"""{"tenant_id": "acme", "event_type": "label.printed", "payload": null, "payload_bytes": "\\\\x00fF",
 "content_type": "application/pdf", "aggregate_type": "order", "aggregate_id": "4711",
 "headers": {"traceparent": "00"}, "available_at": "2026-01-31T09:00:00+01:00",
 "event_id": "01890a5d-ac96-774b-bcce-b302099a8057"}""".replace(b"\n", b"")


def test_every_line_is_an_event() -> None:
    assert [event.payload for event in read_events([GOOD + b"\r\n", b"  \n", GOOD])] == [{"sku": "A-1"}] * 2


def test_keys_are_the_columns() -> None:
    (event,) = read_events([FULL])

    assert (event.payload, event.payload_bytes, event.content_type) == (None, b"\0\xff", "application/pdf")
    assert (event.aggregate_type, event.aggregate_id) == ("order", "4711")
    assert event.headers == {"traceparent": "00"}
    assert event.available_at == datetime(2026, 1, 31, 8, tzinfo=UTC)
    assert str(event.event_id) == "01890a5d-ac96-774b-bcce-b302099a8057"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"tenant_id": "SECRET', "not JSON"),
        (b'"SECRET"', "must be a JSON object"),
        (b'{"SECRET": "\xff"}', "not UTF-8"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"event_type": "a", "payload": 1}', "tenant_id: None is not valid"),
        (b'{"tenant_id": "acme", "event_type": "a"}', "exactly one of payload and payload_bytes"),
        (
            b'{"tenant_id": "acme", "event_type": "a", "payload": NaN}',
            "payload: <class 'float'> is not valid",
        ),
        (
            b'{"tenant_id": "acme", "event_type": "a", "payload_bytes": "SECRET"}',
            "payload_bytes: <class 'str'>",
        ),
        (
            b'{"tenant_id": "acme", "event_type": "a", "payload_bytes": "\\\\xSECRET"}',
            "payload_bytes: <class",
        ),
        (
            b'{"tenant_id": "acme", "event_type": "a", "payload": 1, "available_at": "today"}',
            "available_at: 'today'",
        ),
        (
            b'{"tenant_id": "acme", "event_type": "a", "payload": 1, "available_at": "2026-01-31"}',
            "with its offset",
        ),
        (
            b'{"tenant_id": "acme", "event_type": "a", "payload": "SECRET", "status": 1}',
            "unknown status; there are",
        ),
    ],
)
def test_error_names_the_line_and_hides_what_it_holds(line: bytes, reason: str) -> None:
    with pytest.raises(OutboxError) as caught:
        read_events([GOOD, b"\n", line])

    assert str(caught.value).startswith("line 3: ")
    assert reason in str(caught.value)
    assert "SECRET" not in str(caught.value)
