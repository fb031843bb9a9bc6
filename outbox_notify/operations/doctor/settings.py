"""Settings that are allowed together and still fight each other; what cannot work is refused before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outbox_notify.operations.doctor.findings import Subject, Verdict, ok, warn

if TYPE_CHECKING:
    from outbox_notify.config.settings import Settings

# The share of the shutdown timeout that a stopping relay waits for acks.
_SHARE_FOR_ACKS = 0.7

SETTINGS: Subject[Settings] = Subject("settings", "outbox-notify config show")


@SETTINGS.check
def lease(settings: Settings) -> Verdict:
    """Compare how long a lease holds with how often expired ones are looked for."""
    text = f"a lease holds {settings.lease:g} s, acks are awaited {settings.publish_timeout:g} s"
    if settings.sweep_interval > settings.lease:
        return warn(
            f"{text}, but expired leases are looked for only every {settings.sweep_interval:g} s",
            f"OUTBOX_SWEEP_INTERVAL={settings.lease / 2:g}s",
        )
    return ok(text)


@SETTINGS.check
def stop(settings: Settings) -> Verdict:
    """Compare how long a stop may take with how long acks do."""
    patience = settings.shutdown_timeout * _SHARE_FOR_ACKS
    if patience < settings.publish_timeout:
        return warn(
            f"a stopping relay waits {patience:g} s for acks that may take {settings.publish_timeout:g} s:"
            " what it gives back then is sent twice",
            f"OUTBOX_SHUTDOWN_TIMEOUT={settings.publish_timeout / _SHARE_FOR_ACKS + 1:.0f}s",
        )
    return ok(f"a stopping relay waits {patience:g} s for acks")


@SETTINGS.check
def order(settings: Settings) -> Verdict:
    """Look whether a failed event can hold back an aggregate that has no order."""
    if settings.ordering == "none" and settings.on_failed == "block":
        return warn(
            "OUTBOX_ON_FAILED=block holds nothing back: with OUTBOX_ORDERING=none aggregates have no order",
            "OUTBOX_ON_FAILED=skip, or OUTBOX_ORDERING=aggregate",
        )
    kept = "keep their order" if settings.ordering == "aggregate" else "have no order"
    return ok(f"events of an aggregate {kept}; a failed one: {settings.on_failed}")


@SETTINGS.check
def retention(settings: Settings) -> Verdict:
    """Look whether published events are kept."""
    if settings.retention == 0:
        return warn(
            "events are deleted when published: nothing is left to replay, or to compare a lost stream with",
            "OUTBOX_RETENTION=24h",
        )
    return ok(f"published events are kept for {settings.shown('retention')}")
