"""What an event may hold, and what the errors say."""

from __future__ import annotations

import copy
import dataclasses
import enum
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

import outbox_notify
from outbox_notify import Event, InvalidEvent
from outbox_notify.events import MAX_HEADERS_BYTES

OWN_ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
NUL = "\0"
LONE_SURROGATE = "\ud800"
CONTROLS = [*range(0x20), *range(0x7F, 0xA0)]


def event(**changes: Any) -> Event:
    """Return an event with everything set but what the test changes."""
    fields = {"tenant_id": "acme", "event_type": "goods.received", "payload": {"sku": "A-1"}, **changes}
    return Event(**fields)


def refused(**changes: Any) -> InvalidEvent:
    """Return the error for an event that cannot be."""
    with pytest.raises(InvalidEvent) as caught:
        event(**changes)
    return caught.value


def nested(depth: int) -> list[Any]:
    """Return lists within lists."""
    return [] if depth == 0 else [nested(depth - 1)]


def test_tenant_type_and_body_are_enough() -> None:
    made = Event("acme", "goods.received", {"sku": "A-1"})

    assert made.content_type == "application/json"
    assert made.headers == {}
    assert (made.aggregate_type, made.aggregate_id, made.available_at, made.event_id) == (None,) * 4


@pytest.mark.parametrize("field", ["tenant_id", "event_type", "content_type"])
@pytest.mark.parametrize("value", ["", "é", "a\n", None, 1, b"a", "a" * 256])
def test_bad_text_is_refused_by_field_and_value(field: str, value: object) -> None:
    error = refused(**{field: value})

    assert (error.field, error.value) == (field, value)
    assert error.rule in str(error)


def test_error_says_field_value_and_rule() -> None:
    assert str(refused(tenant_id="acme inc.")) == (
        "tenant_id: 'acme inc.' is not valid: must be 1 to 64 characters out of A-Z a-z 0-9 _ -"
    )


@pytest.mark.parametrize("value", ["o-1", "x" * 255, "Größe 5 / 7", "\U0001f600" * 255, "\u2028", "\u200b"])
def test_aggregate_id_is_any_printable_text(value: str) -> None:
    assert event(aggregate_type="order", aggregate_id=value).aggregate_id == value


@pytest.mark.parametrize(
    "value", ["", "x" * 256, LONE_SURROGATE, 7, *(f"a{chr(code)}b" for code in CONTROLS)]
)
def test_aggregate_id_holds_no_control_character(value: object) -> None:
    assert refused(aggregate_type="order", aggregate_id=value).field == "aggregate_id"


@pytest.mark.parametrize("value", ["", "a.b", "a" * 65, "a\n", 7])
def test_aggregate_type_is_one_token(value: object) -> None:
    assert refused(aggregate_type=value, aggregate_id="1").field == "aggregate_type"


def test_aggregate_is_whole() -> None:
    assert refused(aggregate_type="order").field == "aggregate_id"
    assert refused(aggregate_id="1").field == "aggregate_type"


def test_body_is_exactly_one() -> None:
    assert refused(payload=None).rule == "exactly one of payload and payload_bytes must be given"
    assert refused(payload={}, payload_bytes=b"").field == "payload"
    assert event(payload=None, payload_bytes=b"").payload_json is None


@pytest.mark.parametrize(
    "payload",
    [{}, [], "", 0, False, {"a": [1, 2.5, None, "ü"]}, "\\u0000", "\\\\u0000", 10**400, nested(500)],
)
def test_payload_is_any_json(payload: object) -> None:
    assert event(payload=payload).payload_json is not None


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (float("nan"), "Out of range"),
        ({"a": [float("inf")]}, "Out of range"),
        ({"price": Decimal("1.10")}, "Decimal is not JSON"),
        (b"text", "bytes is not JSON"),
        ({("a", "b"): 1}, "keys must be"),
    ],
)
def test_payload_that_is_not_json_is_refused_with_the_reason(payload: object, reason: str) -> None:
    error = refused(payload=payload)

    assert error.field == "payload"
    assert reason in str(error)


@pytest.mark.parametrize("bad", [NUL, LONE_SURROGATE, f"\\{NUL}", f"a{NUL}\\u0000", "\ud83d\ude00"])
def test_payload_that_postgresql_cannot_hold_is_refused(bad: str) -> None:
    for payload in (bad, {"key": bad}, {bad: "value"}, [[bad]]):
        assert refused(payload=payload).field == "payload"


def test_payload_nested_without_end_is_refused() -> None:
    payload: list[Any] = []
    for _ in range(200_000):
        payload = [payload]
    circle: list[Any] = []
    circle.append(circle)

    assert refused(payload=payload).rule == "must not be nested that deep"
    assert refused(payload=circle).field == "payload"


@pytest.mark.parametrize(
    "changes",
    [
        {"payload": {"iban": "SECRET", "n": float("nan")}},
        {"payload": {"iban": "SECRET", "o": object()}},
        {"payload": f"SECRET{NUL}"},
        {"payload": f"SECRET{LONE_SURROGATE}"},
        {"payload": {"iban": "SECRET"}, "payload_bytes": b"SECRET"},
        {"payload": None, "payload_bytes": "SECRET"},
        {"headers": {"Authorization": "SECRET\n"}},
        {"headers": ["SECRET"]},
        {"headers": {"X": "SECRET" * MAX_HEADERS_BYTES}},
    ],
)
def test_error_never_repeats_a_body_or_a_header_value(changes: dict[str, Any]) -> None:
    error = refused(**changes)

    assert "SECRET" not in str(error)
    assert "SECRET" not in repr(error.value)
    assert error.__suppress_context__ or error.__context__ is None


def test_repr_hides_bodies_and_headers() -> None:
    made = event(payload={"iban": "SECRET"}, headers={"Authorization": "SECRET"})

    assert "SECRET" not in repr(made)
    assert "acme" in repr(made)


@pytest.mark.parametrize(
    "name", ["traceparent", "X-Trace-Id", "a" * 64, "0", "-", "natsx", "ce", "Status-Code"]
)
def test_header_may_have_a_free_name(name: str) -> None:
    assert event(headers={name: ""}).headers == {name: ""}


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a" * 65,
        "a b",
        "a_b",
        "a:",
        "a\n",
        "é",
        "\u212a",
        "Nats-Msg-Id",
        "nats-",
        "NATS-Rollup",
        "ce-id",
        "CE-",
        "Status",
        "status",
        "DESCRIPTION",
        "content-type",
        7,
        None,
    ],
)
def test_header_name_that_is_malformed_or_taken_is_refused_by_name(name: object) -> None:
    error = refused(headers={name: "value"})

    assert (error.field, error.value) == ("headers", name)


@pytest.mark.parametrize(
    "value", [1, None, b"a", ["a"], LONE_SURROGATE, *(f"a{chr(code)}" for code in CONTROLS)]
)
def test_header_value_is_text_without_control_characters(value: object) -> None:
    assert refused(headers={"X-Trace": value}).value == "X-Trace"


@pytest.mark.parametrize("text", ["x", "é", '"'])
def test_headers_fit_into_32_kilobytes_of_json(text: str) -> None:
    room = MAX_HEADERS_BYTES - len('{"a": ""}')
    size = 1 if text == "x" else 2

    assert (
        len(event(headers={"a": text * (room // size)}).headers_json.encode())
        == MAX_HEADERS_BYTES - room % size
    )
    assert refused(headers={"a": text * (room // size + 1)}).field == "headers"


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("time", [NOON.replace(tzinfo=None), NOON.isoformat(), NOON.date(), 0])
def test_time_without_a_zone_is_refused(time: object) -> None:
    assert refused(available_at=time).field == "available_at"


def test_time_is_kept_in_utc() -> None:
    berlin = timezone(timedelta(hours=1))

    assert event(available_at=datetime(2026, 1, 1, 12, tzinfo=berlin)).available_at == datetime(
        2026, 1, 1, 11, tzinfo=UTC
    )
    assert refused(available_at=datetime(1, 1, 1, tzinfo=berlin)).field == "available_at"


def test_event_id_is_a_uuid_or_its_text() -> None:
    assert event(event_id=OWN_ID).event_id == OWN_ID
    assert event(event_id=str(OWN_ID)).event_id == OWN_ID


@pytest.mark.parametrize("value", ["", "order-1", 7, OWN_ID.bytes])
def test_event_id_that_is_no_uuid_is_refused(value: object) -> None:
    assert refused(event_id=value).field == "event_id"


class Kind(enum.StrEnum):
    RECEIVED = "goods.received"


def test_enum_members_count_as_their_text() -> None:
    assert type(event(event_type=Kind.RECEIVED).event_type) is str
    assert event(event_type=Kind.RECEIVED) == event()


def test_what_was_checked_is_what_is_written() -> None:
    payload, headers = {"sku": "A-1"}, {"traceparent": "00"}
    made = event(payload=payload, headers=headers)
    payload["sku"] = NUL
    headers["traceparent"] = NUL

    assert made.payload_json == '{"sku": "A-1"}'
    assert made.headers_json == '{"traceparent": "00"}'


def test_event_is_a_value() -> None:
    made = event(headers={"a": "b"}, event_id=OWN_ID)

    assert made == event(headers={"a": "b"}, event_id=OWN_ID)
    assert copy.deepcopy(made) == copy.copy(made) == made
    assert dataclasses.replace(made, payload=[1]).payload_json == "[1]"
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.tenant_id = "other"  # type: ignore[misc]  # what the test is about


def test_package_names_are_found_and_others_are_not() -> None:
    assert set(outbox_notify.__all__) <= set(dir(outbox_notify))
    assert all(getattr(outbox_notify, name) for name in outbox_notify.__all__)
    with pytest.raises(AttributeError, match="no attribute 'emitt'"):
        outbox_notify.emitt  # noqa: B018  # asking is the test


def test_import_of_the_package_loads_no_driver() -> None:
    script = "import sys, outbox_notify; assert not {'psycopg', 'nats', 'anyio', 'click'} & set(sys.modules)"

    subprocess.run([sys.executable, "-c", script], check=True)
