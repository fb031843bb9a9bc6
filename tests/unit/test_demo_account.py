"""The demo's account: it must notice what it is there to notice."""

from __future__ import annotations

from random import Random

import pytest

from outbox_notify.demo.account import Account, Ledger, Message, balance, never_committed, percentile_ms
from outbox_notify.demo.warehouse import STEPS, Warehouse
from outbox_notify.demo.watch import Watch
from outbox_notify.events import Event


def _ledger(*events: tuple[str, str]) -> Ledger:
    """Return a ledger of committed events: id and aggregate, in the order of their commits."""
    ledger = Ledger()
    for event_id, aggregate_id in events:
        event = Event("north", "a.b", {}, aggregate_type="receipt", aggregate_id=aggregate_id)
        ledger.committing(event_id, event, now=0.0)
    return ledger


def _stream(event_ids: str) -> list[Message]:
    return [Message(event_id, "events.north.a.b", b"{}") for event_id in event_ids]


def _account(event_ids: str) -> Account:
    """Balance the events a, b, c (one aggregate) and x (another one) against a stream."""
    ledger = _ledger(("a", "R-1"), ("b", "R-1"), ("x", "R-2"), ("c", "R-1"))
    return balance(ledger, _stream(event_ids), [0.001])


@pytest.mark.parametrize("event_ids", ["abxc", "xabc", "abcx"])
def test_every_event_once_and_in_order_of_its_aggregate_is_balanced(event_ids: str) -> None:
    assert _account(event_ids).balanced


@pytest.mark.parametrize(
    ("event_ids", "delivered", "lost", "duplicates", "out_of_order"),
    [
        ("abx", 3, 1, 0, 0),
        ("", 0, 4, 0, 0),
        ("abxcc", 4, 0, 1, 0),
        ("abxca", 4, 0, 1, 0),
        ("bxca", 4, 0, 0, 1),
        ("cbax", 4, 0, 0, 2),
    ],
)
def test_what_is_wrong_is_counted(
    event_ids: str, delivered: int, lost: int, duplicates: int, out_of_order: int
) -> None:
    account = _account(event_ids)
    found = (account.delivered, account.lost, account.duplicates, account.out_of_order)
    assert found == (delivered, lost, duplicates, out_of_order)
    assert not account.balanced


def test_an_event_that_was_rolled_back_is_noticed_in_the_stream() -> None:
    ledger = _ledger(("a", "R-1"))
    ledger.rolled_back.add("z")
    assert never_committed(ledger, _stream("az")) == ["z"]
    assert never_committed(ledger, _stream("a")) == []


def test_percentiles_are_by_nearest_rank() -> None:
    latencies = [number / 1000 for number in range(1, 101)]
    assert percentile_ms(latencies, 0.50) == 50
    assert percentile_ms(latencies, 0.99) == 99
    assert percentile_ms([0.0042], 0.99) == 4.2
    assert percentile_ms([], 0.5) is None


def test_a_message_that_nobody_in_the_demo_wrote_is_a_stranger() -> None:
    ledger = _ledger(("a", "R-1"))
    ledger.rolled_back.add("z")
    strangers: list[Message] = []
    watch = Watch(ledger, strangers.append)
    for message in _stream("azq"):
        watch.receive(message)
    assert [message.event_id for message in strangers] == ["q"]
    assert watch.missing == 0


def test_only_committed_steps_move_a_document() -> None:
    warehouse = Warehouse("north", Random(1))  # noqa: S311  # no secret
    transaction = warehouse.next_transaction()
    before = transaction.events()
    assert transaction.events() == before
    warehouse.commit(transaction)
    assert all(document.step == 1 for document in transaction.documents)


def test_every_document_makes_all_its_steps_in_order() -> None:
    warehouse = Warehouse("north", Random(2))  # noqa: S311  # no secret
    steps: dict[str | None, list[str]] = {}
    for _ in range(300):
        transaction = warehouse.next_transaction()
        for event in transaction.events():
            steps.setdefault(event.aggregate_id, []).append(event.event_type.rpartition(".")[2])
        warehouse.commit(transaction)
    assert len(steps) > 50
    for number, made in steps.items():
        kind = "receipt" if str(number).startswith("R") else "delivery"
        assert tuple(made) == STEPS[kind][: len(made)]
