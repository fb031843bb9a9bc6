"""How much memory a relay takes for large events."""

from __future__ import annotations

from typing import TYPE_CHECKING, LiteralString

from benchmarks.drains import drain
from benchmarks.figures import Figure, Findings, Target
from benchmarks.programs import DRAIN

if TYPE_CHECKING:
    import psycopg

    from benchmarks.plan import Plan
    from benchmarks.stage import Stage

_EVENTS = 500
_MEGABYTE = 2**20
_FILL: LiteralString = """
    INSERT INTO event_outbox (tenant_id, event_type, aggregate_type, aggregate_id, payload_bytes)
    SELECT 'tenant-0', 'image.stored', 'article', n %% 40, convert_to(repeat('x', 1000000), 'UTF8')
    FROM generate_series(1, %s) AS n
"""


def run(stage: Stage, plan: Plan) -> Findings:
    """Drain 500 events of a megabyte each."""
    events = plan.size(_EVENTS)

    def write(conn: psycopg.Connection) -> None:
        conn.execute(_FILL, (events,))

    with stage.filled(write) as template:
        drains = []
        for turn in range(1, plan.runs + 1):
            stage.say(f"events of 1 MB, run {turn} of {plan.runs}")
            drains.append(drain(stage, template, events, DRAIN))
    peaks = [done.peak_memory / _MEGABYTE for done in drains]
    figures = [
        Figure("relay memory, 1 MB events", peaks, "MB", Target(250, at_most=True)),
        Figure("drain, 1 MB events", [done.rate for done in drains], "events/s"),
    ]
    return Findings(figures, [done.as_json("1 MB events") for done in drains])
