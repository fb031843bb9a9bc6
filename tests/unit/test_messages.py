"""The message of an event, to the byte, and what is refused because nothing behind would refuse it."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox_notify.errors import InvalidEvent
from outbox_notify.jetstream.messages import Encoder, Message
from outbox_notify.relay.claims import ClaimedEvent

ROOMY = 1_048_576
# What CloudEvents lets stand in a header: printable ASCII without space, double quote and bare percent.
CE_VALUE = re.compile(r"(?:[!#$&-~]|%[0-9A-F]{2})*")
EVENT_ID = "01890a5d-ac96-774b-bcce-b302099a8057"
HEAD = (
    b"NATS/1.0\r\n"
    b"Nats-Msg-Id: 01890a5d-ac96-774b-bcce-b302099a8057\r\n"
    b"ce-specversion: 1.0\r\n"
    b"ce-id: 01890a5d-ac96-774b-bcce-b302099a8057\r\n"
    b"ce-type: stock.moved\r\n"
    b"ce-source: outbox-notify\r\n"
    b"ce-time: 2026-01-02T03:04:05.000006Z\r\n"
    b"ce-tenantid: acme\r\n"
)
TAIL = b"Content-Type: application/json\r\n\r\n"


def claimed(**changes: Any) -> ClaimedEvent:
    columns = {
        "id": 1, "event_id": EVENT_ID, "tenant_id": "acme", "event_type": "stock.moved", "aggregate_type": None,
        "aggregate_id": None, "content_type": "application/json", "headers": None,
        "created_at": "2026-01-02T03:04:05.000006Z", "ordering_key": None, "attempts": 0, "body": b'{"n": 1}',
        **changes,
    }  # fmt: skip
    return ClaimedEvent(**columns)


def message(max_payload: int = ROOMY, source: str = "outbox-notify", **changes: Any) -> Message:
    return Encoder("events", source).encode(claimed(**changes), max_payload)


def refused(**changes: Any) -> InvalidEvent:
    with pytest.raises(InvalidEvent) as error:
        message(**changes)
    return error.value


def header(made: Message, name: str) -> str:
    """Return the one header with a name, as it stands on the wire."""
    (value,) = re.findall(rf"^{name}: (.*)\r$", made.head.decode(), re.MULTILINE)
    return str(value)


def test_subject_is_prefix_tenant_and_type_and_the_body_is_untouched() -> None:
    made = Encoder("shop.events", "x").encode(claimed(body=b"\x00\xff\r\n"), ROOMY)
    assert (made.subject, made.body) == ("shop.events.acme.stock.moved", b"\x00\xff\r\n")


def test_route_is_the_subject_without_its_prefix() -> None:
    assert claimed().route == "acme.stock.moved"


def test_head_of_an_event_without_aggregate_and_headers() -> None:
    assert message().head == HEAD + TAIL


def test_head_of_an_event_with_everything() -> None:
    made = message(
        aggregate_type="item",
        aggregate_id="SKU 7/ä%",
        content_type="text/plain; charset=utf-8",
        headers='{"traceparent": "00-ab-cd-01", "X-Note": "Größe: 5, ok"}',
    )
    assert made.head == HEAD + (
        b"ce-subject: SKU%207/%C3%A4%25\r\n"
        b"ce-partitionkey: item/SKU%207/%C3%A4%25\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"traceparent: 00-ab-cd-01\r\n"
        b"X-Note: Gr\xc3\xb6\xc3\x9fe: 5, ok\r\n"
        b"\r\n"
    )


def test_message_of_an_event_that_was_tried_before_is_the_same() -> None:
    assert message(attempts=3) == message(attempts=0)


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("order-1", "order-1"),
        ("a b", "a%20b"),
        ('say "hi"', "say%20%22hi%22"),
        ("100%", "100%25"),
        ("%41", "%2541"),
        ("Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
        ("!#$&'()*+,-./:;<=>?@[\\]^_`{|}~", "!#$&'()*+,-./:;<=>?@[\\]^_`{|}~"),
        ("\x7f\x1f", "%7F%1F"),
        ("a\r\nNats-Rollup: all", "a%0D%0ANats-Rollup:%20all"),
    ],
)
def test_cloudevents_values_are_percent_encoded(text: str, encoded: str) -> None:
    made = message(aggregate_type="item", aggregate_id=text, source=text)
    assert header(made, "ce-subject") == encoded
    assert header(made, "ce-partitionkey") == f"item/{encoded}"
    assert header(made, "ce-source") == encoded


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=255))
def test_any_cloudevents_value_can_be_read_back(text: str) -> None:
    made = message(aggregate_type="item", aggregate_id=text, source=text)
    for name, value in (("ce-subject", text), ("ce-partitionkey", f"item/{text}"), ("ce-source", text)):
        written = header(made, name)
        assert CE_VALUE.fullmatch(written)
        assert unquote(written, errors="strict") == value


@given(
    headers=st.dictionaries(
        st.from_regex(r"X-[A-Za-z0-9-]{1,20}", fullmatch=True),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
        min_size=1,
    )
)
def test_row_headers_arrive_as_they_are_or_not_at_all(headers: dict[str, str]) -> None:
    if any(set(value) & set("\r\n\0") for value in headers.values()):
        refused(headers=json.dumps(headers))
        return
    expected = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    assert message(headers=json.dumps(headers)).head == HEAD + TAIL[:-2] + expected.encode() + b"\r\n"


@pytest.mark.parametrize("bad", ["\r", "\n", "\r\n", "\0", "x\r\nNats-Rollup: all", "x\r\n\r\nbody"])
@pytest.mark.parametrize("column", ["headers", "content_type", "aggregate_type", "event_id", "created_at"])
def test_no_value_breaks_out_of_its_line(column: str, bad: str) -> None:
    value = json.dumps({"X-Note": bad}) if column == "headers" else bad
    assert refused(**{"aggregate_type": "item", "aggregate_id": "1", column: value}).field == "headers"


@pytest.mark.parametrize(
    "name",
    ["Nats-Msg-Id", "nats-rollup", "NATS-Expected-Stream", "Nats-", "ce-id", "CE-Anything", "Content-Type",
     "content-type", "Status", "DESCRIPTION", "", "a b", "a:b", "a\r\nb", "a\n", "é", "x" * 65, "traceparent\0"],
)  # fmt: skip
def test_header_names_that_are_not_the_rows_to_choose_are_refused(name: str) -> None:
    assert refused(headers=json.dumps({name: "x"})).field == "headers"


@pytest.mark.parametrize(
    "name", ["traceparent", "tracestate", "X-1", "Nat", "Natsy", "Status-Code", "x" * 64]
)
def test_other_header_names_are_taken(name: str) -> None:
    assert header(message(headers=json.dumps({name: "x"})), name) == "x"


@pytest.mark.parametrize("value", [1, 1.5, True, None, ["x"], {"x": "y"}])
def test_header_value_that_is_no_text_is_refused(value: object) -> None:
    assert refused(headers=json.dumps({"X-Note": value})).field == "headers"


@pytest.mark.parametrize(
    "headers",
    ['["X-Note", "x"]', '"X-Note"', "7", "true", "null",
     pytest.param('{"X-Note": ' + "9" * 5000 + "}", id="number-without-end"),
     pytest.param("[" * 100_000 + "]" * 100_000, id="nested-without-end")],
)  # fmt: skip
def test_headers_that_are_no_object_of_texts_are_refused(headers: str) -> None:
    assert refused(headers=headers).field == "headers"


@pytest.mark.parametrize(
    "token", ["", "a.b", "a b", "*", ">", "..", "é", "a\n", "a\r\nPUB x 0\r\n", "x" * 65, "a\0"]
)
def test_tenant_that_is_no_token_is_refused(token: str) -> None:
    assert refused(tenant_id=token).field == "tenant_id"


@pytest.mark.parametrize(
    "event_type",
    [
        "",
        ".",
        "a..b",
        ".a",
        "a.",
        "a.*",
        "a.>",
        "a b",
        "a\tb",
        "é",
        "a\n",
        "x" * 65,
        "a." * 8 + "a",
        "x" * 5000,
    ],
)
def test_event_type_that_is_no_subject_is_refused(event_type: str) -> None:
    assert refused(event_type=event_type).field == "event_type"


def test_message_at_the_limit_passes_and_one_byte_more_is_refused() -> None:
    head = len(message().head)
    assert message(max_payload=head + 100, body=b"x" * 100).body == b"x" * 100
    error = refused(max_payload=head + 100, body=b"x" * 101)
    assert (error.field, error.rule) == ("payload", f"the server takes {head + 100}")
    assert f"{head + 101} bytes with headers" in str(error)


def test_header_block_counts_in_bytes_and_not_in_characters() -> None:
    headers = json.dumps({"X-Note": "ä" * 50})
    size = len(message(headers=headers).head) + len(b'{"n": 1}')
    message(headers=headers, max_payload=size)
    refused(headers=headers, max_payload=size - 1)


def test_encoder_takes_good_events_after_a_bad_one() -> None:
    encoder = Encoder("events", "outbox-notify")
    for _ in range(2):
        with pytest.raises(InvalidEvent):
            encoder.encode(claimed(tenant_id="a.b"), ROOMY)
        assert encoder.encode(claimed(), ROOMY).subject == "events.acme.stock.moved"
