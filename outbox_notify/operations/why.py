"""Why an event is where it is: one sentence, decided from evidence without asking anybody anything more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from outbox_notify.operations.evidence import described
from outbox_notify.relay.retry import lets_route_rest
from outbox_notify.relay.wakeup import POLL_INTERVAL
from outbox_notify.subjects import subject_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from outbox_notify.operations.evidence import Event, Evidence, Missing
    from outbox_notify.operations.relays import Relay

# A claim has its turn for moments; longer than this, seconds, and it is in the way.
_LONGEST_TURN = 2.0
_MOST_COUNTED = 100_000
_LAST_TIME = 253_402_300_799_000
_BEHIND = "waits for event "


@dataclass(frozen=True)
class Rules:
    """Settings that the relays go by, as far as the one who asks has the same; the interval in seconds."""

    max_attempts: int
    sweep_interval: float
    subject_prefix: str


@dataclass(frozen=True)
class Why:
    """An explanation.

    Args:
        state: a word for programs.
        sentence: for people.
    """

    state: str
    sentence: str


def missing(found: Missing) -> str:
    """Say what may have become of an event that is not there."""
    if isinstance(found.name, int) and found.name > found.newest:
        what = f"there is no event {found.name}: the newest that is committed is {found.newest}"
    else:
        gone = f"published and pruned, discarded, or never committed{_made(found.name)}"
        what = f"there is no event {found.name}: {gone}"
    writers = "; ".join(described(lock) for lock in found.writers)
    return f"{what}; it may be in a transaction that is still open: {writers}" if writers else what


def explain(found: Evidence, rules: Rules) -> Why:
    """Return why an event is where it is; of several reasons the one that has to go first."""
    event = found.event
    if event.status == "published":
        return Why("published", _published(event, rules))
    if event.status == "failed":
        text = f"failed after {_attempts(event.attempts)}: {event.last_error or 'no reason was kept'}"
        return Why("failed", f"{text}; `outbox-notify failed requeue {event.id}` sends it again")
    if event.status == "in_progress":
        return _leased(event, found.relays, rules)
    if event.waits:
        return _waits(event, rules)
    return next(why for reason in _REASONS if (why := reason(found, rules)))


def _published(event: Event, rules: Rules) -> str:
    subject = subject_of(rules.subject_prefix, event.tenant_id, event.event_type)
    if event.published_at is None:
        return f"published as {subject}; when is not known"
    took = (event.published_at - event.created_at).total_seconds()
    return f"published at {_time(event.published_at)}, {_span(took)} after it was written, as {subject}"


def _leased(event: Event, relays: Sequence[Relay], rules: Rules) -> Why:
    left, relay = event.lease_left or 0.0, f"relay {event.claimed_by}"
    there = any(each.relay == event.claimed_by and each.version for each in relays)
    gone = "" if there else f"; {relay} is not connected any more"
    if left < 0:
        return Why(
            "lease_expired", f"its lease of {relay} expired {_span(-left)} ago{gone}; {_swept(relays, rules)}"
        )
    until = f"leased by {relay} until {_time(event.lease_until)}, for {_span(left)} more"
    if there:
        before = f"; it came back before: {event.last_error}" if event.last_error else ""
        return Why("leased", f"{until}: it is being published{before}")
    return Why("leased", f"{until}{gone}; after that {_swept(relays, rules)}")


def _swept(relays: Sequence[Relay], rules: Rules) -> str:
    if any(relay.version for relay in relays):
        return f"the next sweep of a relay takes it over, within {_span(rules.sweep_interval)}"
    return "a relay would take it over, but none is connected: start outbox-notify relay"


def _waits(event: Event, rules: Rules) -> Why:
    when = "for ever (available_at is infinity)"
    if event.available_at is not None and event.due_in is not None:
        when = f"until {_time(event.available_at)}, for {_span(event.due_in)} more"
    if event.attempts == 0:
        return Why("scheduled", f"scheduled by its writer {when}")
    tries = f"attempt {event.attempts + 1} of {rules.max_attempts} comes then"
    return Why("retrying", f"waits {when}; {tries}, after: {event.last_error or 'no reason was kept'}")


def _no_relay(found: Evidence, _rules: Rules) -> Why | None:
    if any(relay.version for relay in found.relays):
        return None
    return Why("no_relay", f"{_due_for(found.event)}, but no relay is connected: start outbox-notify relay")


def _locked(found: Evidence, _rules: Rules) -> Why | None:
    in_the_way = (
        lock for lock in found.locks if lock.kind != "turn" or (lock.open_seconds or 0.0) > _LONGEST_TURN
    )
    for lock in in_the_way:
        return Why("locked", f"{_due_for(found.event)}, but no relay can claim it: {described(lock)}")
    return None


def _paused(found: Evidence, _rules: Rules) -> Why | None:
    if found.paused is None:
        return None
    pause, until = found.paused, "until somebody resumes it"
    if pause.until is not None:
        until = f"until {_time(pause.until)}"
    reason = f": {pause.reason}" if pause.reason else ""
    return Why(
        "paused", f"{pause.target} is paused by {pause.by} since {_time(pause.since)}, {until}{reason}"
    )


def _behind(found: Evidence, rules: Rules) -> Why | None:
    """Name the event of its aggregate that holds it back; one that is only earlier in the same queue does not."""
    if found.ahead is None:
        return None
    event = found.ahead.event
    head = (
        explain(found.ahead, rules) if event.status != "pending" or event.waits else _own(found.ahead, rules)
    )
    if head is None:
        return None
    about = f"{event.status}, {_attempts(event.attempts)}"
    return Why(
        "behind", f"waits for event {event.id} of its aggregate {event.aggregate} ({about}): {head.sentence}"
    )


def _own(found: Evidence, rules: Rules) -> Why | None:
    return _paused(found, rules) or _locked(found, rules) or _rests(found, rules) or _returned(found, rules)


def _rests(found: Evidence, _rules: Rules) -> Why | None:
    event, reason = found.event, found.event.last_error or ""
    if not lets_route_rest(reason):
        if found.resting is None:
            return None
        reason = f"{found.resting.reason} (event {found.resting.id} came back with that)"
    return Why(
        "route_rests", f"its route {event.route} rests, and is tried again within seconds, since: {reason}"
    )


def _returned(found: Evidence, rules: Rules) -> Why | None:
    event, reason = found.event, found.event.last_error
    # What it waited for is not in the way any more, or it would have been found.
    if reason is None or reason.startswith(_BEHIND):
        return None
    if event.attempts:
        return Why(
            "retrying", f"attempt {event.attempts + 1} of {rules.max_attempts} is due, after: {reason}"
        )
    return Why("returned", f"came back without an attempt counted, and is tried again: {reason}")


def _wake_is_down(found: Evidence, rules: Rules) -> Why | None:
    connected = [relay for relay in found.relays if relay.version]
    if not any(relay.listening for relay in connected):
        within, why = POLL_INTERVAL, "no relay listens"
    elif not found.wakes:
        within, why = (
            rules.sweep_interval,
            "writers do not notify (trigger disabled, or notification queue half full)",
        )
    else:
        return None
    return Why(
        "wake_down",
        f"{_due_for(found.event)}; the wake path is down, {why}: next sweep in {_span(within)} at most",
    )


def _next(found: Evidence, _rules: Rules) -> Why:
    before = found.before or 0
    least = "at least " if before >= _MOST_COUNTED else ""
    queue = f"{least}{before:,} due events are before it" if before else "it is the next"
    states = ", ".join(f"{relay.relay} is {relay.state}" for relay in found.relays if relay.version)
    slow = f"; claims pass by dead rows: {described(found.horizon)}" if found.horizon else ""
    return Why("due", f"{_due_for(found.event)}, nothing holds it back, {queue}; relays: {states}{slow}")


_REASONS: tuple[Callable[[Evidence, Rules], Why | None], ...] = (
    _no_relay, _paused, _locked, _behind, _rests, _returned, _wake_is_down, _next,
)  # fmt: skip


def _due_for(event: Event) -> str:
    return f"due for {_span(-(event.due_in or 0.0))}"


def _attempts(count: int) -> str:
    return f"{count} attempt" + ("" if count == 1 else "s")


def _time(time: datetime | None) -> str:
    return "an unknown time" if time is None else time.isoformat(" ", "seconds")


def _span(seconds: float) -> str:
    """Return a length of time as people say it."""
    if seconds < 1:
        return f"{max(seconds, 0.0) * 1000:.0f} ms"
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _made(name: int | UUID) -> str:
    """Tell when an event id was made, where it does tell."""
    if isinstance(name, int) or name.version != 7 or (made := name.int >> 80) > _LAST_TIME:
        return ""
    return f"; its id was made {_time(datetime.fromtimestamp(made / 1000, UTC))}"
