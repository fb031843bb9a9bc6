"""The pages of metrics and of log lines, from their declarations."""

from __future__ import annotations

from outbox_notify.observability.catalog import METRICS, PREFIX, Metric
from outbox_notify.observability.lines import LINES

_METRICS = f"""\
# Metrics

What `/metrics` shows, for Prometheus. All names begin with `{PREFIX}`, and none has a label with values without bound.
Beside them stand `process_*` of the relay's process. Written by `make reference`.

What is counted stands at zero from the start. The backlog, the table and the pauses are looked at every 15 seconds, or
less often when that takes long (a fiftieth of the time at most), never at a scrape: `backlog_timestamp_seconds` tells
when. They are the same for all relays of one table, so take `max`, not `sum`; everything else is of one relay.

| name | kind | labels | meaning |
| --- | --- | --- | --- |
"""

_LOG_EVENTS = """\
# Log lines

Every name that `event` may have in a line of the relay, stable across releases. `timestamp` and `level` stand in each
line; lines of libraries have a `logger` instead of a name from here. A line with a `reason` that says the same again
within ten seconds is not written: the next one that is has `repeated`. No line holds a body, headers or a secret.
Written by `make reference`.

| event | level | meaning | fields |
| --- | --- | --- | --- |
"""


def metrics() -> str:
    """Return the page of metrics."""
    return _METRICS + "".join(f"{_row(metric)}\n" for metric in METRICS)


def log_events() -> str:
    """Return the page of log lines."""
    lines = [f"| `{name}` | {line.level} | {line.meaning} | {line.fields} |" for name, line in LINES.items()]
    return _LOG_EVENTS + "".join(f"{line}\n" for line in lines)


def _row(metric: Metric) -> str:
    values = f": {', '.join(metric.values)}" if metric.values else ""
    labels = [f"`{label}`{values}" for label in metric.labels]
    return f"| `{metric.name}` | {metric.kind} | {', '.join(labels)} | {metric.help} |"
