"""Every line that the log may hold: its stable name, its level and its meaning. A contract, like the metrics."""

from __future__ import annotations

from typing import NamedTuple


class Line(NamedTuple):
    """What a name in the log stands for.

    Args:
        level: how loud it is.
        meaning: one sentence for people.
        fields: what else stands in the line; `repeated` may, where there is a reason.
    """

    level: str
    meaning: str
    fields: str = ""


LINES = {
    "relay.ready": Line(
        "info",
        "The start is over; `nats.connected` and `wake.ready` tell that servers were reached.",
        "relay, schema, stream",
    ),
    "relay.stopping": Line(
        "info", "A signal came: nothing more is claimed, what is in hand is settled.", "signal, within"
    ),
    "relay.stopped": Line("info", "The end.", "settled: events published or failed in this run"),
    "drain.left": Line(
        "warning",
        "A drain is over, and another relay holds events, which it publishes or a sweep takes over.",
        "relay, events, lease_left: seconds",
    ),
    "http.ready": Line("info", "Health, metrics and status are shown here.", "address"),
    "http.unavailable": Line(
        "warning", "The address is taken or not ours: the relay works without HTTP.", "address, reason"
    ),
    "batch.published": Line("debug", "JetStream has these events.", "events"),
    "publish.duplicate": Line(
        "info", "The stream held these events already: an ack or a mark was lost.", "events"
    ),
    "publish.retry": Line(
        "warning",
        "JetStream refused an event; it is tried again later.",
        "id, event_id, tenant_id, attempt, reason",
    ),
    "event.failed": Line(
        "error", "An event was given up on; requeue or discard it.", "id, event_id, tenant_id, reason"
    ),
    "route.resting": Line(
        "warning", "A subject is refused, through no fault of the events.", "route, reason"
    ),
    "route.recovered": Line("info", "A route that rested takes events again.", "route"),
    "outage.started": Line(
        "warning", "A server is away; events wait.", "component: `nats` or `postgres`, reason"
    ),
    "outage.continues": Line("warning", "It is still away, now for another reason.", "component, reason"),
    "outage.ended": Line("info", "It is back.", "component, after: the last reason"),
    "nats.connected": Line(
        "info",
        "NATS was reached for the first time, or a connection replaced without an outage.",
        "component",
    ),
    "credentials.kept": Line(
        "warning", "The settings cannot be read again; NATS is asked with those that were known.", "reason"
    ),
    "wake.ready": Line("info", "LISTEN was proven: a NOTIFY of our own came back.", "channel"),
    "wake.lost": Line("warning", "NOTIFYs do not arrive; the relay looks twice a second instead.", "reason"),
    "server.changed": Line(
        "info", "Another PostgreSQL answers, or a new start of it.", "since: when it was started"
    ),
    "table.replaced": Line(
        "info", "All events were removed at once (`TRUNCATE`), or the table was written anew (`VACUUM FULL`)."
    ),
    "lease.lost": Line("warning", "Another relay has taken over events of this one.", "events"),
    "lease.expired": Line(
        "warning",
        "Events were taken back from a relay that died or froze; failed are those that crash relays.",
        "reclaimed, failed",
    ),
    "events.released": Line("info", "Events were given back without counting an attempt.", "events, reason"),
    "events.pruned": Line("debug", "Published events past retention were deleted.", "events"),
    "claim.postponed": Line("warning", "A claim did not succeed; it is tried again.", "reason"),
    "read.postponed": Line("warning", "Bodies could not be read; it is tried again.", "reason"),
    "settle.postponed": Line("warning", "Outcomes could not be written; it is tried again.", "reason"),
    "sweep.postponed": Line("warning", "The upkeep did not succeed; the next pass does it.", "reason"),
}
