"""How each kind of fault is done and undone."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

import psycopg

from tests.soak.relays import STOPS_WITHIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.soak.plan import Fault
    from tests.soak.relays import Relay
    from tests.soak.stage import Stage
    from tests.support.proxy import Proxy

_IMMEDIATE_STOP = 10.0
_BACKENDS = """
    SELECT pid FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND application_name LIKE ANY(%s) AND pid <> pg_backend_pid()
    ORDER BY pid
"""
_TERMINATE = "SELECT pg_terminate_backend(%s)"
_OF_RELAYS = "outbox-notify relay%"
_OF_WRITERS = "soak %"

# Runs up to the next wait, whose seconds it yields; what follows the last one undoes the fault.
Attack: TypeAlias = "Iterator[float]"


def relay_killed(stage: Stage, fault: Fault) -> Attack:
    """End a relay, and start it again later."""
    relay = stage.relay(fault.target)
    relay.kill()
    yield fault.hold
    relay.start()


def relay_frozen(stage: Stage, fault: Fault) -> Attack:
    """Hold a relay for a while."""
    relay = stage.relay(fault.target)
    relay.process.freeze()
    yield fault.hold
    relay.process.thaw()


def relay_stopped(stage: Stage, fault: Fault) -> Attack:
    """Stop a relay in an orderly way, and start it again later."""
    relay = stage.relay(fault.target)
    while not relay.there:
        yield 0.1
    relay.tell_to_stop()
    deadline = time.monotonic() + STOPS_WITHIN
    while relay.process.running and time.monotonic() < deadline:
        yield 0.1
    if problem := relay.stopped(0.1):
        stage.problems.append(problem)
    yield fault.hold
    relay.start()


def nats_killed(stage: Stage, fault: Fault) -> Attack:
    """End the nats-server, and start it again with its store."""
    stage.nats.kill()
    yield fault.hold
    stage.nats.start()


def nats_frozen(stage: Stage, fault: Fault) -> Attack:
    """Hold the nats-server for a while."""
    stage.nats.freeze()
    yield fault.hold
    stage.nats.thaw()


def nats_restarted(stage: Stage, fault: Fault) -> Attack:
    """Stop the nats-server in an orderly way, and start it again with its store."""
    stage.nats.stop()
    yield fault.hold
    stage.nats.start()


def postgres_killed(stage: Stage, fault: Fault) -> Attack:
    """End PostgreSQL with all its processes, and start it again with its data."""
    stage.postgres.kill()
    yield fault.hold
    stage.postgres.start()


def postgres_stopped_at_once(stage: Stage, fault: Fault) -> Attack:
    """Stop PostgreSQL without a checkpoint, and start it again with its data."""
    os.kill(stage.postgres.pid, signal.SIGQUIT)
    deadline = time.monotonic() + _IMMEDIATE_STOP
    while stage.postgres.running and time.monotonic() < deadline:
        yield 0.02
    stage.postgres.kill()
    yield fault.hold
    stage.postgres.start()


def postgres_restarted(stage: Stage, fault: Fault) -> Attack:
    """Stop PostgreSQL, which ends all sessions, and start it again."""
    stage.postgres.stop()
    yield fault.hold
    stage.postgres.start()


def a_backend_terminated(stage: Stage, fault: Fault) -> Attack:
    """End one session of a relay or a writer, as an administrator would."""
    with suppress(psycopg.OperationalError), _administrator(stage) as conn:
        if pids := _backends(conn, _OF_RELAYS, _OF_WRITERS):
            conn.execute(_TERMINATE, [pids[int(fault.dice * len(pids))]])
    yield fault.hold


def all_backends_terminated(stage: Stage, fault: Fault) -> Attack:
    """End all sessions of all relays."""
    with suppress(psycopg.OperationalError), _administrator(stage) as conn:
        for pid in _backends(conn, _OF_RELAYS):
            conn.execute(_TERMINATE, [pid])
    yield fault.hold


def postgres_cut_off(stage: Stage, fault: Fault) -> Attack:
    """End a relay's connections to PostgreSQL, and refuse new ones for a while."""
    relay = stage.relay(fault.target)
    return _cut_off(relay, relay.postgres, fault)


def nats_cut_off(stage: Stage, fault: Fault) -> Attack:
    """End a relay's connections to NATS, and refuse new ones for a while."""
    relay = stage.relay(fault.target)
    return _cut_off(relay, relay.nats, fault)


def postgres_unheard(stage: Stage, fault: Fault) -> Attack:
    """Let nothing through between a relay and PostgreSQL for a while."""
    relay = stage.relay(fault.target)
    return _unheard(relay, relay.postgres, fault)


def nats_unheard(stage: Stage, fault: Fault) -> Attack:
    """Let nothing through between a relay and NATS for a while."""
    relay = stage.relay(fault.target)
    return _unheard(relay, relay.nats, fault)


def _cut_off(relay: Relay, way: Proxy, fault: Fault) -> Attack:
    """End connections, with RST or FIN; half of the time new ones are refused too."""
    if fault.dice < 0.5:
        way.refuse()
    else:
        way.cut(reset=fault.dice < 0.75)
    yield fault.hold
    relay.restore()


def _unheard(relay: Relay, way: Proxy, fault: Fault) -> Attack:
    """Hold what is sent up, or down, or both."""
    directions = ("up",) if fault.dice < 0.25 else ("down",) if fault.dice < 0.5 else ("up", "down")
    way.deaf(*directions)
    yield fault.hold
    relay.restore()


def _backends(conn: psycopg.Connection, *names: str) -> list[int]:
    return [pid for (pid,) in conn.execute(_BACKENDS, [list(names)])]


def _administrator(stage: Stage) -> psycopg.Connection:
    return psycopg.connect(stage.postgres.url, autocommit=True, connect_timeout=2)


ATTACKS: dict[str, Callable[[Stage, Fault], Attack]] = {
    "relay killed": relay_killed,
    "relay frozen": relay_frozen,
    "relay stopped": relay_stopped,
    "nats killed": nats_killed,
    "nats frozen": nats_frozen,
    "nats restarted": nats_restarted,
    "postgres killed": postgres_killed,
    "postgres stopped at once": postgres_stopped_at_once,
    "postgres restarted": postgres_restarted,
    "a backend terminated": a_backend_terminated,
    "all backends terminated": all_backends_terminated,
    "postgres cut off": postgres_cut_off,
    "nats cut off": nats_cut_off,
    "postgres unheard": postgres_unheard,
    "nats unheard": nats_unheard,
}
