"""The account itself must notice what is wrong: a checker that is always content proves nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from outbox_notify import Event
from tests.support.checker import check
from tests.support.ledger import Ledger
from tests.support.outbox import Row
from tests.support.stream import StreamMessage

_EVENT = Event("acme", "stock.moved", {"n": 1}, aggregate_type="article", aggregate_id="a")


def _ledger(*committed: str) -> Ledger:
    ledger = Ledger()
    ledger.attempt(dict.fromkeys(committed, _EVENT))
    ledger.commit(set(committed))
    return ledger


def _row(place: int, event_id: str, key: int | None = 7, status: str = "published") -> Row:
    return Row(place, event_id, key, status, 0, 0, None, None)


def _message(event_id: str, body: bytes = b'{"n": 1}') -> StreamMessage:
    return StreamMessage(1, "events.acme.stock.moved", {"Nats-Msg-Id": event_id}, body, datetime.now(UTC))


def test_all_is_well_when_everything_arrived_once_and_in_order() -> None:
    verdict = check(_ledger("a", "b"), [_row(1, "a"), _row(2, "b")], [_message("a"), _message("b")])
    assert verdict.problems == {}


def test_what_is_missing_is_lost_even_when_its_row_says_published() -> None:
    verdict = check(_ledger("a", "b"), [_row(1, "a"), _row(2, "b")], [_message("a")])
    assert verdict.problems == {"lost": 1, "unproven": 1}


def test_an_unanswered_commit_counts_by_its_row() -> None:
    ledger = Ledger()
    ledger.attempt({"a": _EVENT})
    assert ledger.unknown == {"a"}
    assert check(ledger, [], []).problems == {}
    assert check(ledger, [_row(1, "a", status="pending")], []).problems == {"lost": 1, "unfinished": 1}


def test_what_was_rolled_back_or_never_written_or_is_gone_is_a_phantom() -> None:
    ledger = _ledger("a")
    ledger.attempt({"back": _EVENT, "gone": _EVENT})
    ledger.roll_back({"back"})
    stream = [_message(event_id) for event_id in ("a", "back", "gone", "stranger")]
    assert check(ledger, [_row(1, "a")], stream).phantom == ["back", "gone", "stranger"]


def test_a_second_copy_is_a_duplicate_and_no_disorder() -> None:
    stream = [_message("a"), _message("b"), _message("a")]
    verdict = check(_ledger("a", "b"), [_row(1, "a"), _row(2, "b")], stream)
    assert verdict.problems == {"duplicates": 1}


def test_disorder_is_by_aggregate() -> None:
    stream = [_message("b"), _message("a")]
    same = check(_ledger("a", "b"), [_row(1, "a"), _row(2, "b")], stream)
    assert same.out_of_order == ["a"]
    other = check(_ledger("a", "b"), [_row(1, "a"), _row(2, "b", key=8)], stream)
    assert other.problems == {}


def test_a_changed_body_is_noticed() -> None:
    assert check(_ledger("a"), [_row(1, "a")], [_message("a", b'{"n": 2}')]).problems == {"altered": 1}


def test_failed_and_counted_events_are_reported_and_not_lost() -> None:
    row = replace(_row(1, "a", status="failed"), attempts=3)
    assert check(_ledger("a"), [row], []).problems == {"counted": 1, "failed": 1}
