"""What an assertion about an event accepts, and what it says when it fails."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from unittest.mock import ANY
from uuid import UUID

import pytest

from outbox_notify.testing import EmittedEvent, StreamMessage, order_violations
from outbox_notify.testing.events import how_it_differs
from outbox_notify.testing.failures import not_as_often, unwanted
from outbox_notify.testing.matching import differences

BODY = {"sku": "A-1", "quantity": 5, "lines": [{"n": 1, "note": None}], "open": True}


def event(number: int = 1, **changes: Any) -> EmittedEvent:
    values: dict[str, Any] = {
        "event_id": UUID(int=number),
        "tenant_id": "acme",
        "event_type": "goods.received",
        "aggregate": ("article", "A-1"),
        "payload": BODY,
        "payload_bytes": None,
        "content_type": "application/json",
        "headers": {},
        "available_at": None,
    }
    return EmittedEvent(**{**values, **changes})


def message(number: int, partition: str | None) -> StreamMessage:
    headers = {"Nats-Msg-Id": str(UUID(int=number)), "ce-tenantid": "acme"}
    headers |= {} if partition is None else {"ce-partitionkey": partition}
    return StreamMessage(number, "events.acme.goods.received", headers, b"{}", datetime.now(UTC))


@pytest.mark.parametrize(
    "expected",
    [
        {},
        {"quantity": 5},
        {"lines": [{"n": 1}]},
        {"lines": [{"note": None}], "open": True},
        {"quantity": int, "lines": list},
        {"quantity": lambda quantity: quantity > 3},
        {"quantity": ANY, "lines": ANY},
        {"quantity": pytest.approx(5.0)},
        lambda body: body["quantity"] == 5,
        dict,
    ],
)
def test_what_is_named_is_compared_and_nothing_else(expected: Any) -> None:
    assert list(differences(expected, BODY, "payload")) == []


@pytest.mark.parametrize(
    ("expected", "difference"),
    [
        ({"quantity": 6}, "payload.quantity is 5, not 6"),
        ({"quantity": "5"}, "payload.quantity is 5, not '5'"),
        ({"open": 1}, "payload.open is True, not 1"),
        ({"colour": None}, "payload.colour is missing"),
        ({"lines": [{"n": 2}]}, "payload.lines[0].n is 1, not 2"),
        ({"lines": []}, "payload.lines is [{'n': 1, 'note': None}], not []"),
        ({"lines": {"n": 1}}, "payload.lines is [{'n': 1, 'note': None}], not {'n': 1}"),
        ({"sku": int}, "payload.sku is 'A-1', not of type int"),
        ({"sku": str.isdigit}, "payload.sku is 'A-1', and isdigit says no"),
    ],
)
def test_a_difference_names_the_place_and_both_values(expected: Any, difference: str) -> None:
    assert list(differences(expected, BODY, "payload")) == [difference]


def test_a_body_of_bytes_is_compared_as_it_is() -> None:
    in_bytes = event(payload=None, payload_bytes=b"abc")

    assert how_it_differs(in_bytes, "goods.received", {"payload": b"abc"}) == []
    assert how_it_differs(in_bytes, None, {"payload": b"abd"}) == ["payload is b'abc', not b'abd'"]


def test_an_aggregate_may_be_expected_not_to_be() -> None:
    assert how_it_differs(event(aggregate=None), None, {"aggregate": None}) == []
    assert how_it_differs(event(), None, {"aggregate": None}) == ["aggregate is ('article', 'A-1'), not None"]


def test_a_failure_shows_all_that_was_emitted_and_how_it_differs() -> None:
    events = [event(), event(event_type="goods.sent", aggregate=None, payload={"n": 1})]

    assert not_as_often(
        events, "goods.received", None, {"tenant_id": "umbrella", "payload": {"quantity": 6}}
    ) == (
        "1 event of goods.received with tenant_id 'umbrella', payload {'quantity': 6} expected, none found\n"
        "emitted, in this order:\n"
        f"   1. goods.received of tenant 'acme' about article 'A-1': {BODY}\n"
        "        tenant_id is 'acme', not 'umbrella'\n"
        "        payload.quantity is 5, not 6\n"
        "   2. goods.sent of tenant 'acme': {'n': 1}"
    )


def test_a_failure_points_at_what_is_too_much() -> None:
    text = not_as_often([event(1), event(2)], "goods.received", None, {})

    assert text.splitlines()[0] == "1 event of goods.received expected, 2 found"
    assert [line[:5] for line in text.splitlines()[2:]] == ["-> 1.", "-> 2."]
    assert unwanted([event()], None, {}).splitlines()[0] == "no event of any type expected"


def test_a_failure_gives_a_hint_when_there_is_nothing() -> None:
    assert "written on another one, or rolled back?" in not_as_often([], "goods.received", 2, {})


def test_a_failure_stays_short() -> None:
    text = not_as_often([event(payload={"text": "x" * 10_000})] * 1000, "goods.sent", None, {})

    assert len(text) < 10_000
    assert text.endswith("and 980 more")


def test_what_arrives_behind_a_later_event_of_its_aggregate_violates_the_order() -> None:
    written = [event(number) for number in range(1, 6)]
    arrived = [message(2, "article/A"), message(3, None), message(1, "article/A"), message(4, "article/B")]

    assert order_violations(arrived, written) == [arrived[2]]
    assert order_violations(arrived, [str(UUID(int=number)) for number in (2, 1, 4)]) == []


def test_a_repeat_violates_no_order() -> None:
    arrived = [message(1, "article/A"), message(2, "article/A"), message(1, "article/A")]

    assert order_violations(arrived, [UUID(int=1), UUID(int=2)]) == []


def test_tenants_do_not_share_an_aggregate() -> None:
    other = message(1, "article/A")
    other.headers["ce-tenantid"] = "umbrella"

    assert order_violations([message(2, "article/A"), other], [UUID(int=1), UUID(int=2)]) == []
