"""What several relays on one table come to together, and whether any event is sent twice for it."""

from __future__ import annotations

import json
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psycopg

from benchmarks.backlog import Backlog
from benchmarks.errors import BenchmarkError
from benchmarks.figures import Figure, Findings, Target, ratios
from benchmarks.programs import ASLEEP, RELAY

if TYPE_CHECKING:
    from benchmarks.plan import Plan
    from benchmarks.stage import Stage

_EVENTS = 100_000
_RELAYS = (1, 2, 4)
_PATIENCE = 60.0
# No slower in sum, as far as it can be told.
_NO_SLOWER = Target(0.95)
_UNSETTLED = "SELECT EXISTS (SELECT FROM event_outbox WHERE status IN ('pending', 'in_progress'))"
_KINDS = {"keyed": Backlog(_EVENTS), "without aggregate": Backlog(_EVENTS, aggregates=0)}


@dataclass(frozen=True)
class _Run:
    """How some relays did together.

    Args:
        rate: events a second from the first to the last.
        repeated: messages that they sent beyond one for each event.
        missing: events that the stream does not hold, or holds more than once.
    """

    rate: float
    repeated: int
    missing: int


def run(stage: Stage, plan: Plan) -> Findings:
    """Commit a backlog beside one, two and four sleeping relays in turn."""
    runs: dict[tuple[str, int], list[_Run]] = {(kind, relays): [] for kind in _KINDS for relays in _RELAYS}
    for turn in range(1, plan.runs + 1):
        for (kind, relays), done in runs.items():
            stage.say(f"relays: {relays}, {kind}, run {turn} of {plan.runs}")
            done.append(_measure(stage, replace(_KINDS[kind], events=plan.size(_EVENTS)), relays))
    raw = [
        {"what": kind, "relays": relays, **vars(done)}
        for (kind, relays), dones in runs.items()
        for done in dones
    ]
    figures = [figure for kind in _KINDS for figure in _figures(kind, runs)]
    return Findings(figures, raw)


def _figures(kind: str, runs: dict[tuple[str, int], list[_Run]]) -> list[Figure]:
    rates = {relays: [done.rate for done in runs[kind, relays]] for relays in _RELAYS}
    figures = [Figure(f"1 relay, {kind}", rates[1], "events/s")]
    for relays in _RELAYS[1:]:
        what = f"{relays} relays, {kind}"
        repeated = [float(done.repeated) for done in runs[kind, relays]]
        figures.append(Figure(f"{what} / 1 relay", ratios(rates[relays], rates[1]), "x", _NO_SLOWER))
        figures.append(Figure(f"{what}: sent again", repeated, "messages", Target(0, at_most=True)))
    return figures


def _measure(stage: Stage, backlog: Backlog, relays: int) -> _Run:
    stage.stream.renew()
    with stage.copy() as url, ExitStack() as running:
        programs = [running.enter_context(stage.start(RELAY, url, ASLEEP)) for _ in range(relays)]
        for program in programs:
            program.wait_until_ready()
        before = _sent(stage)
        with psycopg.connect(url, autocommit=True) as conn:
            backlog.write(conn)
            stage.stream.wait_for(backlog.events, _PATIENCE, lambda: None)
            _wait_until_settled(conn)
        sent = _sent(stage) - before
        stored = stage.stream.stored()
    return _Run(stored.rate, sent - backlog.events, stored.messages - backlog.events)


def _wait_until_settled(conn: psycopg.Connection) -> None:
    deadline = time.monotonic() + _PATIENCE
    while conn.execute(_UNSETTLED).fetchone() == (True,):
        if time.monotonic() > deadline:
            raise BenchmarkError("events are in the stream, but not settled in the table")
        time.sleep(0.05)


def _sent(stage: Stage) -> int:
    """Return how many messages clients have sent so far, requests to JetStream not counted."""
    return int(_ask(stage, "varz")["in_msgs"]) - int(_ask(stage, "jsz")["api"]["total"])


def _ask(stage: Stage, what: str) -> dict[str, Any]:
    url = f"{stage.nats.monitoring_url}/{what}"
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  # our own server
        found: dict[str, Any] = json.load(answer)
        return found
