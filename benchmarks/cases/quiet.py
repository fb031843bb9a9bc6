"""What idle relays ask PostgreSQL, and how long events take beside somebody's transaction that stays open."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from benchmarks.figures import Figure, Findings, Target, percentile
from benchmarks.latency import latencies
from benchmarks.proc import cpu_seconds
from benchmarks.programs import ASLEEP, RELAY

if TYPE_CHECKING:
    from benchmarks.plan import Plan
    from benchmarks.stage import Stage

_SECONDS = 60.0
# Until the last relay has done what it does at its start.
_CALM = 10.0
_RELAYS = (1, 4)
_EVENTS = 100
# The server logs each statement when told to, also those of a pipeline, which are executed and not sent as text.
_STATEMENT = re.compile(r"LOG:  (?:statement|execute [^:]*): (.*)")
# What only holds statements together.
_FRAME = re.compile(r"BEGIN|COMMIT|ROLLBACK|SET ", re.IGNORECASE)
_OPEN = """
    INSERT INTO event_outbox (tenant_id, event_type, aggregate_type, aggregate_id, payload)
    VALUES ('tenant-0', 'stock.moved', 'slow', 'slow', '{}')
"""


@dataclass(frozen=True)
class _Rest:
    """What relays did in a second of rest.

    Args:
        relays: how many there were.
        queries: statements that they sent together, those that begin and end a transaction not counted.
        statements: all that they sent together.
        busy: share of one processor that they used together.
    """

    relays: int
    queries: float
    statements: float
    busy: float


def run(stage: Stage, plan: Plan) -> Findings:
    """Watch one and four idle relays, and send single events beside an open transaction with an event in it."""
    rests: dict[int, list[_Rest]] = {relays: [] for relays in _RELAYS}
    beside = []
    for turn in range(1, plan.runs + 1):
        for relays in _RELAYS:
            stage.say(f"idle relays: {relays}, run {turn} of {plan.runs}")
            rests[relays].append(_watch(stage, plan, relays))
        stage.say(f"latency beside an open transaction, run {turn} of {plan.runs}")
        beside.append(_beside_open_transaction(stage, plan.size(_EVENTS)))
    raw: list[dict[str, Any]] = [vars(rest) for each in rests.values() for rest in each]
    raw += [{"what": "beside an open transaction", "ms": ms} for ms in beside]
    return Findings(_figures(rests, beside), raw)


def _figures(rests: dict[int, list[_Rest]], beside: list[list[float]]) -> list[Figure]:
    figures = []
    for relays, each in rests.items():
        what = f"{relays} idle relay{'s, each' if relays > 1 else ''}"
        queries = [rest.queries / relays for rest in each]
        figures += [
            Figure(f"{what}: queries", queries, "1/s", Target(2, at_most=True)),
            Figure(f"{what}: with BEGIN, SET and COMMIT", [rest.statements / relays for rest in each], "1/s"),
            Figure(f"{what}: of one processor", [rest.busy / relays * 100 for rest in each], "%"),
        ]
    p99 = [percentile(ms, 0.99) for ms in beside]
    figures.append(
        Figure("idle latency p50 beside an open writer", [percentile(ms, 0.5) for ms in beside], "ms")
    )
    figures.append(Figure("idle latency p99 beside an open writer", p99, "ms", Target(50, at_most=True)))
    return figures


def _watch(stage: Stage, plan: Plan, relays: int) -> _Rest:
    stage.stream.renew()
    with stage.copy() as url, ExitStack() as running:
        _log_statements(url)
        programs = [running.enter_context(stage.start(RELAY, url, ASLEEP)) for _ in range(relays)]
        for program in programs:
            program.wait_until_ready()
        time.sleep(plan.seconds(_CALM))
        seen = stage.postgres.log_path.stat().st_size
        used, began = sum(cpu_seconds(program.pid) for program in programs), time.monotonic()
        time.sleep(plan.seconds(_SECONDS))
        busy = sum(cpu_seconds(program.pid) for program in programs) - used
        took = time.monotonic() - began
        statements = _statements(stage, seen)
    queries = [statement for statement in statements if not _FRAME.match(statement)]
    return _Rest(relays, len(queries) / took, len(statements) / took, busy / took)


def _log_statements(url: str) -> None:
    """Let the server log what those who connect from now on to a database say."""
    with psycopg.connect(url, autocommit=True) as conn:
        database = sql.Identifier(conn.info.dbname)
        conn.execute(sql.SQL("ALTER DATABASE {} SET log_statement = 'all'").format(database))


def _statements(stage: Stage, seen: int) -> list[str]:
    with stage.postgres.log_path.open("rb") as log:
        log.seek(seen)
        return _STATEMENT.findall(log.read().decode(errors="replace"))


def _beside_open_transaction(stage: Stage, events: int) -> list[float]:
    stage.stream.renew()
    with stage.copy() as url, stage.start(RELAY, url, ASLEEP) as relay:
        relay.wait_until_ready()
        with psycopg.connect(url) as writer:
            writer.execute(_OPEN)
            return latencies(url, stage.nats.url, events)
