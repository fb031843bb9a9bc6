"""Every metric of the relay: its name, kind, labels and meaning. The reference is written from here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PREFIX = "outbox_notify_"
# So many values of a label are told apart; what comes after them is `other`.
MOST_VALUES = 100
OTHER = "other"

_LATENCIES = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
    1800.0,
    7200.0,
)
_BATCHES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_STATEMENTS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Metric:
    """One metric.

    Args:
        name: without the prefix; that of a counter ends in `_total`.
        help: one sentence or two for people.
        labels: one or none, but for `build_info`.
        values: of the label, where they are known beforehand.
        bounds: of a histogram's buckets, seconds.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()

    @property
    def full_name(self) -> str:
        """What Prometheus calls it."""
        return PREFIX + self.name


BUILD_INFO = Metric(
    "build_info", "gauge", "The version that runs, and on which; always 1.", ("version", "python")
)

PUBLISHED = Metric(
    "events_published_total", "counter", "Events that JetStream has acknowledged, duplicates included."
)
FAILED = Metric(
    "events_failed_total", "counter", "Events that were given up on; they stay until somebody requeues them."
)
RETRIED = Metric("events_retried_total", "counter", "Refusals that counted as an attempt of the event.")
RELEASED = Metric(
    "events_released_total",
    "counter",
    "Events given back without counting: a server was away, their route rests, or one before them came back.",
)
DUPLICATES = Metric(
    "events_duplicate_total",
    "counter",
    "Acknowledged events that the stream held already: an ack or a mark was lost.",
)
PUBLISH_ERRORS = Metric(
    "publish_errors_total",
    "counter",
    "Events that did not get through, by what stood in their way; those that only wait behind one are not counted.",
    ("reason",),
    (
        "disconnected",
        "timeout",
        "unavailable",
        "no_stream",
        "storage",
        "not_permitted",
        "route",
        "event",
        "refused",
    ),
)
PRUNED = Metric("pruned_events_total", "counter", "Published events deleted after OUTBOX_RETENTION.")
LEASES_EXPIRED = Metric(
    "leases_expired_total",
    "counter",
    "Events taken back from relays whose lease had run out: they died or froze.",
)
LEASES_LOST = Metric(
    "leases_lost_total", "counter", "Events of this relay that another one had taken over before it was done."
)

BACKLOG = Metric(
    "backlog_events",
    "gauge",
    "Events in the table by state, as last counted; backlog_counted_to or more means at least as many.",
    ("state",),
    ("pending", "scheduled", "in_progress", "failed"),
)
COUNTED_TO = Metric("backlog_counted_to", "gauge", "Where counting stops, in each state.")
LOOKED_AT = Metric(
    "backlog_timestamp_seconds",
    "gauge",
    "When the table was last looked at, seconds since 1970; not at each scrape.",
)
OLDEST_PENDING = Metric(
    "oldest_pending_timestamp_seconds",
    "gauge",
    "Since when the oldest due event could have gone, seconds since 1970; absent when none is due.",
)
OLDEST_AGE = Metric(
    "oldest_pending_age_seconds", "gauge", "For how long the oldest due event has waited; 0 when none is due."
)
TABLE_BYTES = Metric("table_bytes", "gauge", "Size of the table on disk, with its indexes.")
PAUSED = Metric("paused", "gauge", "Pauses that operators have set and that are in force.")

DELIVERY_LATENCY = Metric(
    "delivery_latency_seconds",
    "histogram",
    "From created_at to the last ack of the event's batch, every event, by the clock of the database.",
    bounds=_LATENCIES,
)
PUBLISH_DURATION = Metric(
    "publish_duration_seconds",
    "histogram",
    "From a batch's bodies being read to its last ack.",
    bounds=_BATCHES,
)
DB_DURATION = Metric(
    "db_operation_duration_seconds",
    "histogram",
    "Answers of PostgreSQL, failed ones included; a light batch is read with its claim, so its read takes no time.",
    ("operation",),
    ("claim", "read", "settle", "release", "reclaim", "prune", "look"),
    _STATEMENTS,
)
LAST_ACK = Metric(
    "last_ack_timestamp_seconds",
    "gauge",
    "When the last batch with an ack was settled, seconds since 1970; 0 before.",
)

WAKEUPS = Metric(
    "wakeups_total",
    "counter",
    "Ends of the sleep: by a NOTIFY, by what the relay has to see to by itself (work), or by the clock.",
    ("source",),
    ("notify", "work", "clock"),
)
RECONNECTS = Metric(
    "reconnects_total",
    "counter",
    "Connections made again after a loss.",
    ("component",),
    ("postgres", "nats", "wake"),
)
UP = Metric(
    "component_up",
    "gauge",
    "Whether it answered when last asked: PostgreSQL, NATS, and LISTEN (wake, 1 also when OUTBOX_WAKE=poll).",
    ("component",),
    ("postgres", "nats", "wake"),
)
ROUTE_RESTING = Metric(
    "route_resting",
    "gauge",
    f"Routes that NATS refuses, 1 each; beyond {MOST_VALUES}, the number of the others as `{OTHER}`.",
    ("route",),
)

METRICS = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
