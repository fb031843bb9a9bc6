"""The rules of the consumer, without a server: what a message says, who waits for whom, how long to wait."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox_notify.consumer.durable import Durable
from outbox_notify.consumer.in_hand import InHand
from outbox_notify.consumer.message import Message, Reject, decoded
from outbox_notify.consumer.outcomes import Failed, Patience, Rejected
from outbox_notify.errors import ConfigError
from outbox_notify.jetstream.messages import Encoder
from outbox_notify.relay.claims import ClaimedEvent

if TYPE_CHECKING:
    from outbox_notify.consumer.in_hand import Held

EVENT_ID = "01890a5d-ac96-774b-bcce-b302099a8057"
# What the table takes as the id of an aggregate.
IDS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=255)


def published(aggregate_id: str, headers: str | None = None) -> Message:
    """Return what a handler gets of an event, by way of the relay's encoder."""
    event = ClaimedEvent(
        id=1, event_id=EVENT_ID, tenant_id="acme", event_type="stock.moved", aggregate_type="bin",
        aggregate_id=aggregate_id, content_type="text/plain", headers=headers, created_at="2026-01-02T03:04:05.6Z",
        ordering_key=1, attempts=0, body=b"[1]",
    )  # fmt: skip
    sent = Encoder("events", "outbox-notify", replay="1a2b").encode(event, 1_000_000)
    lines = [line.partition(": ") for line in sent.head.decode().split("\r\n")[1:-2]]
    return Message(sent.subject, decoded({name: value for name, _, value in lines}), sent.body, 7, 1)


def test_a_message_says_all_that_the_relay_has_published() -> None:
    message = published("shelf 5/6, Größe 100 %", '{"X-Origin": "50%25"}')
    assert message.event_id == UUID(EVENT_ID)
    assert (message.tenant_id, message.type, message.subject) == (
        "acme",
        "stock.moved",
        "events.acme.stock.moved",
    )
    assert (message.aggregate_type, message.aggregate_id) == ("bin", "shelf 5/6, Größe 100 %")
    assert message.time == datetime(2026, 1, 2, 3, 4, 5, 600_000, tzinfo=UTC)
    assert (message.content_type, message.json(), message.body) == ("text/plain", [1], b"[1]")
    assert message.replay == "1a2b"
    assert message.headers["X-Origin"] == "50%25"


@given(IDS)
def test_every_id_of_an_aggregate_arrives_as_it_was_written(aggregate_id: str) -> None:
    message = published(aggregate_id)
    assert message.aggregate_id == message.headers["ce-subject"] == aggregate_id


def test_what_a_message_does_not_say_rejects_it_and_its_body_is_never_shown() -> None:
    stranger = Message("events.x", {"ce-id": "7", "ce-time": "noon", "X-Secret": "s3cret"}, b"s3cret{", 1, 1)
    for ask in ("event_id", "tenant_id", "type", "time"):
        with pytest.raises(Reject, match="ce-"):
            getattr(stranger, ask)
    with pytest.raises(Reject, match="not JSON"):
        stranger.json()
    assert (stranger.aggregate_type, stranger.aggregate_id, stranger.replay) == (None, None, None)
    assert "s3cret" not in repr(stranger)


def about(sequence: int, aggregate: str | None) -> Message:
    headers = {"ce-tenantid": "acme"} | ({"ce-partitionkey": f"bin/{aggregate}"} if aggregate else {})
    return Message("s", headers, b"", sequence, 1)


def taken(hand: InHand, sequence: int, aggregate: str | None, reply: str = "") -> Held:
    held = hand.take(about(sequence, aggregate), reply)
    assert held is not None
    return held


def test_only_events_of_one_aggregate_wait_for_each_other() -> None:
    hand = InHand(one_line=False)
    first, other, second, loose, third = (
        taken(hand, n, aggregate) for n, aggregate in enumerate(["a", "b", "a", None, "a"], 1)
    )
    assert first.before is other.before is loose.before is None
    assert second.before is first.passed
    assert third.before is second.passed
    hand.let_go(first)
    assert second.before.is_set()
    assert not third.before.is_set()


def test_in_one_line_everything_waits_for_what_came_before_it() -> None:
    hand = InHand(one_line=True)
    first, second = taken(hand, 1, "a"), taken(hand, 2, None)
    assert second.before is first.passed
    hand.let_go(first)
    hand.let_go(second)
    third = taken(hand, 3, "a")
    assert third.before is None


def test_a_message_that_comes_again_while_it_is_handled_is_answered_once_with_the_newer_subject() -> None:
    hand = InHand(one_line=True)
    held = taken(hand, 1, "a", "first")
    assert hand.take(about(1, "a"), "second") is None
    assert held.reply == "second"
    assert hand.unanswered() == [held]


def test_one_that_comes_again_after_its_answer_is_new_and_outlives_the_first() -> None:
    hand = InHand(one_line=True)
    held = taken(hand, 1, "a")
    held.answered = True
    again = taken(hand, 1, "a")
    hand.let_go(held)
    assert hand.unanswered() == [again]


def test_waits_double_up_to_the_longest_and_never_overflow() -> None:
    patience = Patience(first=0.5, longest=60.0, attempts=None)
    waits = [patience.again(ValueError(), n).delay for n in (1, 2, 3, 7, 8, 10_000)]
    assert waits == [0.5, 1.0, 2.0, 32.0, 60.0, 60.0]


def test_patience_ends_when_it_is_told_to() -> None:
    patience = Patience(first=0.5, longest=60.0, attempts=3)
    assert isinstance(patience.judge(ValueError("s3cret"), 2), Failed)
    assert patience.judge(ValueError("s3cret"), 3) == Rejected(
        "delivered 3 times, the last time it failed with ValueError"
    )


def test_where_a_handler_failed_is_a_line_of_its_own_not_of_a_library() -> None:
    try:
        json.loads("{")
    except ValueError as error:
        where = Patience(0.5, 60.0, None).again(error, 1).where
    assert where.startswith(f"{__file__}:")
    assert where.endswith(" in test_where_a_handler_failed_is_a_line_of_its_own_not_of_a_library")


def test_a_nak_says_when_to_deliver_again() -> None:
    assert Failed("ValueError", "", 1.5).word == b'-NAK {"delay": 1500000000}'


@pytest.mark.parametrize("name", ["", "a.b", "a b", "*", ">", "ä", "a" * 65])
def test_names_that_would_be_other_subjects_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="durable"):
        Durable("OUTBOX", name, (), 30.0, 1, "all", create=True)
    with pytest.raises(ConfigError, match="stream"):
        Durable(name, "stock", (), 30.0, 1, "all", create=True)


def test_a_consumer_loads_nothing_of_the_relay_that_runs() -> None:
    code = "import sys, outbox_notify.consumer; print(*[name for name in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"psycopg", "uvicorn", "click", "outbox_notify.service", "outbox_notify.relay.loop"} & set(
        loaded
    )
