"""What `outbox-notify status` shows to people."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from outbox_notify.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from outbox_notify.errors import DatabaseUnreachable
    from outbox_notify.jetstream.inspection import NatsFacts
    from outbox_notify.jetstream.stream_facts import StreamFacts
    from outbox_notify.operations.overall import Overall
    from outbox_notify.operations.relays import Relay
    from outbox_notify.operations.status import Returned, Status

_STATES = {
    "working": "at work",
    "armed": "asleep until NOTIFY",
    "arming": "about to sleep",
    "spare": "asleep, behind the one that is armed",
    "awake": "looking for events, or waiting for NATS",
    "polling": "looking every half second, without NOTIFY",
    "gone": "not connected",
}


def text(look: Overall | DatabaseUnreachable) -> str:
    """Return a look as lines, one for each fact."""
    if isinstance(look, Exception):
        return one_line(str(look))
    facts = [*_backlog(look.status), *_relays(look.status), *_table(look.status), *_nats(look.nats)]
    lines = [f"{name:<11}  {value:>12}  {note}".rstrip() for name, value, note in facts]
    if look.status.schema_version != look.status.latest_version:
        version = look.status.latest_version
        lines.append(f"this package brings schema version {version}: run outbox-notify migrate")
    return "\n".join(lines)


def line(look: Overall | DatabaseUnreachable) -> str:
    """Return what matters most of a look in one line."""
    now = datetime.now(UTC).isoformat(" ", "seconds")
    if isinstance(look, Exception):
        return f"{now}  {one_line(str(look))}"
    status, minute = look.status, look.status.last_minute
    rate = f"  {minute.per_second:.1f}/s" if minute else ""
    return (
        f"{now}  pending {_count(status, 'pending')}  scheduled {_count(status, 'scheduled')}"
        f"  in progress {_count(status, 'in_progress')}  failed {_count(status, 'failed')}"
        f"  oldest {status.counts.oldest_pending_age_seconds:.1f} s{rate}"
    )


def _backlog(status: Status) -> Iterator[tuple[str, str, str]]:
    counts = status.counts
    oldest = f"due; the oldest for {counts.oldest_pending_age_seconds:.1f} s"
    retries = f"not due yet; retries among them: {counts.retrying:,}"
    yield "pending", _count(status, "pending"), oldest if counts.pending else ""
    yield "scheduled", _count(status, "scheduled"), retries if counts.scheduled else ""
    yield "in progress", _count(status, "in_progress"), ""
    yield "failed", _count(status, "failed"), "see outbox-notify failed list" if counts.failed else ""
    for returned in status.returned:
        yield "route rests" if returned.rests else "came back", f"{returned.events:,}", _why(returned)
    for pause in status.paused:
        until = f"until {pause.until.isoformat(' ', 'seconds')}" if pause.until else "until it is resumed"
        yield (
            "paused",
            "",
            one_line(f"{pause.target}, by {pause.by}, {until}: {pause.reason or 'no reason given'}"),
        )


def _count(status: Status, name: str) -> str:
    """Return a count; what was not counted to its end is marked."""
    least = ">=" if name in status.counts.at_least else ""
    return f"{least}{getattr(status.counts, name):,}"


def _why(returned: Returned) -> str:
    """Say why events came back; the reason may be anybody's text."""
    age = f"the oldest {returned.oldest_age_seconds:.1f} s old"
    return f"{one_line(returned.route)}: {one_line(returned.reason)}; {age}"


def _relays(status: Status) -> Iterator[tuple[str, str, str]]:
    yield "last minute", *_last_minute(status)
    for relay in status.relays:
        yield "relay", f"{relay.in_progress:,}", _relay(relay)
    if not any(relay.version for relay in status.relays):
        yield "relay", "none", "is connected: start outbox-notify relay"


def _relay(relay: Relay) -> str:
    version = f" {relay.version}" if relay.version else ""
    return f"{one_line(relay.relay, 64)}{version}: {_STATES[relay.state]}{_lease(relay.lease_left_seconds)}"


def _lease(left: float | None) -> str:
    if left is None:
        return ""
    return f"; lease for {left:.0f} s" if left >= 0 else f"; lease expired {-left:.0f} s ago"


def _last_minute(status: Status) -> tuple[str, str]:
    minute = status.last_minute
    if minute is None:
        return "unknown", "no published event is kept"
    over = f" over {minute.window_seconds:.0f} s" if minute.window_seconds < 59 else ""
    rate = f"published, {minute.per_second:,.1f} a second{over}"
    if minute.p50_seconds is None or minute.p99_seconds is None:
        return "0", "published"
    delays = f"p50 {minute.p50_seconds * 1000:,.1f} ms, p99 {minute.p99_seconds * 1000:,.1f} ms"
    return f"{minute.published:,}", f"{rate}; {delays}"


def _table(status: Status) -> Iterator[tuple[str, str, str]]:
    table = status.table
    rows = "" if table.rows_estimate is None else f", about {table.rows_estimate:,} rows"
    ago = table.vacuumed_seconds_ago
    vacuumed = "never vacuumed" if ago is None else f"vacuumed {ago:.0f} s ago"
    yield "table", size(table.bytes), f"with its indexes{rows}, {table.dead_rows:,} dead; {vacuumed}"
    yield "schema", status.schema, f"version {status.schema_version}, PostgreSQL {status.server_version}"


def _nats(nats: NatsFacts | str) -> Iterator[tuple[str, str, str]]:
    if isinstance(nats, str):
        yield "NATS", "unknown", f"cannot be asked from here: {one_line(nats)}"
        return
    yield "NATS", nats.server.version, "" if nats.covering else "no stream takes our subjects"
    for stream in nats.taking:
        yield "stream", one_line(stream.name, 64), _stream(stream)


def _stream(stream: StreamFacts) -> str:
    messages = f"{stream.messages:,}{_of(stream.max_messages, f'{stream.max_messages:,}')}"
    most = (
        f"{messages} message{'' if stream.messages == 1 else 's'}",
        f"{size(stream.bytes)}{_of(stream.max_bytes, size(stream.max_bytes))}",
        f"duplicates known for {stream.duplicate_window:g} s",
        f"replicas {stream.replicas}",
    )
    return ", ".join(most)


def _of(limit: int, shown: str) -> str:
    return f" of {shown}" if limit > 0 else ""


def size(number: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TB"
