"""What those who write events notice of the trigger and of the relay: commits a second, beside none of them."""

from __future__ import annotations

import re
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from benchmarks.errors import BenchmarkError
from benchmarks.figures import Curve, Figure, Findings, Target, ratios
from benchmarks.programs import ASLEEP, RELAY
from outbox_notify.embedded.process import clean_environment

if TYPE_CHECKING:
    from benchmarks.plan import Plan
    from benchmarks.stage import Stage

_SECONDS = 5.0
_NUMBERS = (1, 8, 32, 64)
# Targets are for this number of writers.
_PROMISED = 32
_NONE = "no trigger"
_WRITE = """
INSERT INTO event_outbox (tenant_id, event_type, aggregate_type, aggregate_id, payload)
VALUES ('tenant-0', 'stock.moved', 'article', 'article-' || (random() * 10000)::int,
    '{"n": 1, "padding": "%s"}');
""".replace("%s", "x" * 170)


@dataclass(frozen=True)
class _Kind:
    """What there is besides the writers.

    Args:
        prepare: changes the outbox's triggers.
        relay: whether one runs, on the same processors.
        target: for its commits a second against no trigger.
    """

    prepare: str = ""
    relay: bool = False
    target: Target | None = None


_KINDS = {
    _NONE: _Kind("ALTER TABLE event_outbox DISABLE TRIGGER USER"),
    "armed trigger": _Kind(target=Target(0.9)),
    "armed trigger and a relay": _Kind(relay=True, target=Target(0.7)),
    "plain NOTIFY trigger": _Kind(
        """
        ALTER TABLE event_outbox DISABLE TRIGGER USER;
        CREATE TRIGGER plain AFTER INSERT ON event_outbox
            FOR EACH STATEMENT EXECUTE FUNCTION event_outbox_notify()
        """
    ),
}


def run(stage: Stage, plan: Plan) -> Findings:
    """Write with each number of writers beside each kind of trigger in turn."""
    numbers = (_PROMISED,) if plan.quick else _NUMBERS
    raw = []
    for turn in range(1, plan.runs + 1):
        for writers in numbers:
            for name, kind in _KINDS.items():
                stage.say(f"{writers} writers, {name}, run {turn} of {plan.runs}")
                raw.append(_write(stage, name, kind, writers, plan.seconds(_SECONDS)))
    rates: dict[tuple[str, int], list[float]] = {
        (name, writers): [run["rate"] for run in raw if (run["what"], run["writers"]) == (name, writers)]
        for name in _KINDS
        for writers in numbers
    }
    curves: dict[str, Curve] = {
        name: [(writers, median(rates[name, writers])) for writers in numbers] for name in _KINDS
    }
    return Findings(_figures(rates), raw, curves)


def _figures(rates: dict[tuple[str, int], list[float]]) -> list[Figure]:
    figures = []
    for (name, writers), values in rates.items():
        what = f"{writers} writers, {name}"
        if name == _NONE:
            figures.append(Figure(what, values, "commits/s"))
            continue
        target = _KINDS[name].target if writers == _PROMISED else None
        figures.append(Figure(f"{what} / {_NONE}", ratios(values, rates[_NONE, writers]), "x", target))
    return figures


def _write(stage: Stage, name: str, kind: _Kind, writers: int, seconds: float) -> dict[str, Any]:
    with stage.copy() as url, ExitStack() as beside:
        stage.stream.renew()
        if kind.prepare:
            with psycopg.connect(url, autocommit=True) as conn:
                conn.execute(kind.prepare.encode())
        if kind.relay:
            beside.enter_context(stage.start(RELAY, url, ASLEEP)).wait_until_ready()
        rate = _pgbench(stage, url, writers, seconds)
        published = stage.stream.stored().messages
    return {"what": name, "writers": writers, "rate": rate, "published": published}


def _pgbench(stage: Stage, url: str, writers: int, seconds: float) -> float:
    """Return the transactions a second, connecting not counted."""
    script = stage.nats.folder / "write.sql"
    script.write_text(_WRITE, encoding="utf-8")
    command = [
        str(stage.postgres.psql_path.with_name("pgbench")), "--no-vacuum", "--protocol=prepared",
        f"--client={writers}", f"--jobs={min(2, writers)}", f"--time={max(1, round(seconds))}", f"--file={script}",
    ]  # fmt: skip
    done = subprocess.run(  # noqa: S603  # the command is ours
        command,
        env={**clean_environment(), **_login(url)},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
    if done.returncode or not found:
        raise BenchmarkError(f"pgbench failed: {done.stderr.strip()}")
    return float(found[1])


def _login(url: str) -> dict[str, str]:
    """Return where to connect, for the environment: a command line is public."""
    names = {
        "host": "PGHOST",
        "port": "PGPORT",
        "user": "PGUSER",
        "password": "PGPASSWORD",
        "dbname": "PGDATABASE",
    }
    parameters = conninfo_to_dict(url)
    return {variable: str(parameters[name]) for name, variable in names.items()}
