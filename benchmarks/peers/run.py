"""One run: a new database and a new stream, the backlog written, and the contender let loose on it."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

import benchmarks
import outbox_notify
from benchmarks.backlog import settled_down
from benchmarks.errors import BenchmarkError
from benchmarks.peers import environment
from benchmarks.peers.account import account
from benchmarks.peers.bodies import bodies
from benchmarks.peers.cost import Cost, cost, used
from benchmarks.peers.results import Run
from benchmarks.peers.task import Task
from outbox_notify.embedded import ServerProcess, log_tail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.peers.contenders import Contender
    from benchmarks.stage import Stage
    from benchmarks.stream import Stored

_ROOTS = {str(Path(str(module.__file__)).parents[1]) for module in (benchmarks, outbox_notify)}
_PREPARE_TIMEOUT = 300.0
_START_TIMEOUT = 30.0
_STOP_TIMEOUT = 10.0
_LOOK_EVERY = 0.25

# Aggregates come in no order, so that some meet again within a batch. A body has 200 bytes, written as the server
# writes jsonb.
_BACKLOG = """
CREATE TABLE backlog AS
SELECT n, aggregate, rpad(format('{"n": %%s, "filler": "', n), 182 - length(aggregate), 'x')
                     || format('", "aggregate": "%%s"}', aggregate) AS body
FROM (SELECT n, 'item-' || (hashint8(n) & 2147483647) %% %s AS aggregate
      FROM generate_series(1, %s::bigint) AS n) AS events
"""


@dataclass(frozen=True)
class Plan:
    """What every run has in common.

    Args:
        events: in the backlog.
        aggregates: that they belong to.
        limit: seconds after which a run is cut off; only its rate counts then.
    """

    events: int
    aggregates: int
    limit: float


def run(contender: Contender, plan: Plan, stage: Stage, number: int) -> Run:
    """Let a contender drain a backlog.

    Args:
        contender: who.
        plan: how much.
        stage: on which servers.
        number: of the round, in which everybody runs once.

    Raises:
        BenchmarkError: it failed; the text holds the end of its log.
    """
    stage.stream.renew()
    with stage.copy() as url:
        task = Task(url, stage.nats.url, contender.settings)
        stage.say("writing the backlog")
        _prepare(contender, task, plan, stage)
        with _driver(contender, "drain", task, stage) as process:
            stored, costs = _drain(process, plan, stage)
    held = account(bodies(stage.nats.url, stored.messages))
    complete = held.events >= plan.events
    return Run(number, stored.rate, held.events, held.duplicates, held.out_of_order, complete, costs)


def _prepare(contender: Contender, task: Task, plan: Plan, stage: Stage) -> None:
    with psycopg.connect(task.database_url, autocommit=True) as connection:
        # By value: a table cannot be made with parameters.
        psycopg.ClientCursor(connection).execute(_BACKLOG, (plan.aggregates, plan.events))
        with _driver(contender, "prepare", task, stage) as process:
            deadline = time.monotonic() + _PREPARE_TIMEOUT
            while process.running:
                if time.monotonic() > deadline:
                    raise BenchmarkError(f"writing the backlog took more than {_PREPARE_TIMEOUT:g} s")
                time.sleep(0.01)
            if process.ending != "exit code 0":
                raise BenchmarkError("the backlog could not be written")
        connection.execute("DROP TABLE backlog")
        settled_down(connection)


def _drain(process: ServerProcess, plan: Plan, stage: Stage) -> tuple[Stored, Cost | None]:
    """Return what the stream holds when everything is in it, or when the time is over, and what it took."""
    started, before, first = time.monotonic(), 0, None
    while True:
        running, stored = process.running, stage.stream.stored()
        passed = time.monotonic() - started
        now = used(stage, process.pid, stored.messages)
        # Who publishes some events twice has not published all when there are as many messages.
        if plan.events <= stored.messages == before or (passed > plan.limit and stored.messages > 1):
            return stored, cost(first, now) if running else None
        if not running and stored.messages < plan.events:
            raise BenchmarkError(f"it has ended ({process.ending}), with {stored.messages} events published")
        if passed > _START_TIMEOUT and stored.messages <= 1:
            raise BenchmarkError(f"it has published nothing within {_START_TIMEOUT:g} s")
        if sys.stderr.isatty():
            stage.say(f"{stored.messages:,} of {plan.events:,} events")
        first = first or (now if stored.messages else None)
        before = stored.messages
        time.sleep(_LOOK_EVERY)


@contextmanager
def _driver(contender: Contender, verb: str, task: Task, stage: Stage) -> Iterator[ServerProcess]:
    """Run the contender's driver for the time of the context; a failure tells the end of its log."""
    python = str(environment.python()) if contender.requirement else sys.executable
    log = stage.nats.folder / "driver.log"
    log.unlink(missing_ok=True)
    process = ServerProcess(
        # -P: `import txoutbox` must find the package, not the driver of its name.
        [python, "-P", "-m", f"benchmarks.peers.{contender.driver}", verb],
        log=log,
        cwd=stage.nats.folder,
        environment={"PYTHONPATH": ":".join(sorted(_ROOTS)), **task.environment()},
    )
    try:
        yield process
    except BenchmarkError as error:
        raise BenchmarkError(f"{error}: {log_tail(log, lines=2)}") from None
    finally:
        process.stop(signal.SIGTERM, timeout=_STOP_TIMEOUT)
