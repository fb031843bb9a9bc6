"""Comparing with other relays, as far as no network and no server is needed."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from benchmarks.peers import environment
from benchmarks.peers.account import Account, account
from benchmarks.peers.contenders import EVERYBODY, Contender
from benchmarks.peers.cost import Cost, Used, cost
from benchmarks.peers.results import Result, Run, as_table, ratio
from benchmarks.peers.task import Task

if TYPE_CHECKING:
    from pathlib import Path

_OURS = Contender("ours", "ours", order="yes")
_PEER = Contender("peer", "peer", order="no", requirement="peer[extra]==1.2", settings={"batch_size": 5})


def _body(number: int, aggregate: str) -> bytes:
    return json.dumps({"n": number, "filler": "x", "aggregate": aggregate}).encode()


def _run(
    rate: float, *, number: int = 1, events: int = 100, out_of_order: int = 0, complete: bool = True
) -> Run:
    return Run(number, rate, events, 0, out_of_order, complete, Cost(relay=60, postgres=40.4, nats=10))


def _lines(*results: Result) -> list[str]:
    return list(as_table(results, ours=[_run(9000)], bare_loop=[_run(12000)]))


def test_an_event_behind_a_later_one_of_its_aggregate_is_out_of_order() -> None:
    stream = [_body(2, "a"), _body(4, "b"), _body(1, "a"), _body(3, "a")]
    assert account(stream) == Account(events=4, duplicates=0, out_of_order=1)


def test_a_second_message_of_an_event_is_a_duplicate_and_not_out_of_order() -> None:
    assert account([_body(1, "a"), _body(2, "a"), _body(1, "a")]) == Account(2, duplicates=1, out_of_order=0)


def test_the_table_shows_medians_spread_and_the_worst_of_the_runs() -> None:
    runs = (_run(3000), _run(1000, number=2), _run(4000, number=3, out_of_order=7))
    row = _lines(Result(_PEER, runs))[1].split()
    figures = ["3,000", "1,000", "4,000", "0.250", "3.0", "x", "60", "40", "10"]
    assert row == ["peer", "1.2", *figures, "no", "7", "0", "all"]


def test_runs_are_set_against_those_of_the_same_round() -> None:
    ours = [_run(10, number=1), _run(100, number=2), _run(300, number=3), _run(1, number=4)]
    others = [_run(5, number=1), _run(50, number=2), _run(100, number=3)]
    assert ratio(ours, others) == 2
    assert ratio(ours, []) is None


def test_the_start_of_a_relay_is_not_in_what_an_event_costs() -> None:
    at_work, done = Used(1000, 0.5, 1.0, 2.0), Used(2000, 0.6, 1.2, 2.05)
    measured = cost(at_work, done)
    assert measured is not None
    assert (measured.relay, measured.postgres, measured.nats) == pytest.approx((100, 200, 50))
    assert cost(None, done) is None
    assert cost(done, done) is None


def test_the_fastest_stands_first_and_who_is_missing_last_with_the_reason() -> None:
    missing = Result(_PEER, (), "cannot be had: no such package")
    lines = _lines(missing, Result(_OURS, (_run(9000),)))
    assert lines[1].startswith("ours")
    assert lines[2].endswith("cannot be had: no such package")
    assert missing.as_json()["events_per_second"] is None


def test_a_run_that_was_cut_off_says_how_far_it_got() -> None:
    runs = (_run(50, events=40, complete=False), _run(60, events=45, complete=False))
    assert _lines(Result(_PEER, runs))[1].endswith("cut off at 40")


def test_a_relay_that_fails_later_keeps_its_runs_and_says_why_there_are_no_more() -> None:
    assert _lines(Result(_PEER, (_run(10),), "it has ended"))[1].endswith("all; it has ended")


def test_settings_stand_below_the_table() -> None:
    assert _lines(Result(_PEER, (_run(10),)))[-1] == "  peer: batch_size=5"


def test_every_contender_has_a_driver_and_every_peer_an_exact_version() -> None:
    assert len({contender.name for contender in EVERYBODY}) == len(EVERYBODY)
    for contender in EVERYBODY:
        assert find_spec(f"benchmarks.peers.{contender.driver}"), contender.name
        assert contender.requirement is None or contender.version, contender.name


def test_a_task_reaches_its_driver_through_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Task("postgresql://user:secret@host/db", "nats://host", {"batch_size": 5})
    for name, value in task.environment().items():
        monkeypatch.setenv(name, value)
    assert Task.received() == task


def test_a_package_that_cannot_be_had_is_reported_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    nowhere = "nothing @ file:///nowhere/nothing-1.0-py3-none-any.whl"
    for _ in range(2):
        reasons = environment.install([nowhere], said.append)
        assert "nowhere" in reasons[nowhere]
    assert sum("cannot be had" in line for line in said) == 2
    assert environment.python().exists()
