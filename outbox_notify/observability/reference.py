"""Writes the reference of metrics and log lines from their declarations, below the working directory.

`python -m outbox_notify.observability.reference`, in the checkout: the pages are not part of the package.
"""

from __future__ import annotations

from pathlib import Path

from outbox_notify.observability.catalog import METRICS, PREFIX, Metric
from outbox_notify.observability.lines import LINES

FOLDER = Path("docs", "reference")

_METRICS = f"""\
# Metrics

What `/metrics` shows, for Prometheus. All names begin with `{PREFIX}`, and none has a label with values without bound.
Beside them stand `process_*` of the relay's process. Written by `python -m outbox_notify.observability.reference`.

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
Written by `python -m outbox_notify.observability.reference`.

| event | level | meaning | fields |
| --- | --- | --- | --- |
"""


def pages() -> dict[str, str]:
    """Return each page by its file name."""
    lines = [f"| `{name}` | {line.level} | {line.meaning} | {line.fields} |" for name, line in LINES.items()]
    return {
        "metrics.md": _METRICS + "".join(f"{_row(metric)}\n" for metric in METRICS),
        "log-events.md": _LOG_EVENTS + "".join(f"{line}\n" for line in lines),
    }


def _row(metric: Metric) -> str:
    values = f": {', '.join(metric.values)}" if metric.values else ""
    labels = [f"`{label}`{values}" for label in metric.labels]
    return f"| `{metric.name}` | {metric.kind} | {', '.join(labels)} | {metric.help} |"


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
