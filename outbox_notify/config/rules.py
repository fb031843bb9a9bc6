"""Settings that fight each other: each is fine alone, together they cannot work."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from outbox_notify.config.settings import Settings


class Conflict(NamedTuple):
    """The names of settings that contradict each other, and a text that says how."""

    settings: frozenset[str]
    text: str


def conflicts(settings: Settings) -> Iterator[Conflict]:
    """Yield every contradiction between settings."""
    yield from _conflicting_times(settings)
    yield from _conflicting_logins(settings)


def _conflicting_times(settings: Settings) -> Iterator[Conflict]:
    if settings.lease < settings.publish_timeout * 1.5:
        yield _conflict(
            settings,
            "lease",
            "publish_timeout",
            "the lease must be at least 1.5 times the publish timeout, or it ends while acks are awaited",
        )
    if settings.retry_base > settings.retry_max:
        yield _conflict(settings, "retry_base", "retry_max", "the first wait must not exceed the longest")


def _conflicting_logins(settings: Settings) -> Iterator[Conflict]:
    logins = ("nats_creds", "nats_user", "nats_token", "nats_nkey_seed")
    given = [name for name in logins if getattr(settings, name) is not None]
    if len(given) > 1:
        yield _conflict(settings, *given, "NATS takes one way to log in")
    for one, other in (("nats_user", "nats_password"), ("nats_tls_cert", "nats_tls_key")):
        if (getattr(settings, one) is None) != (getattr(settings, other) is None):
            yield _conflict(settings, one, other, "set both or neither")


def _conflict(settings: Settings, *names_and_rule: str) -> Conflict:
    *names, rule = names_and_rule
    shown = " and ".join(f"OUTBOX_{name.upper()} ({settings.shown(name) or 'not set'})" for name in names)
    return Conflict(frozenset(names), f"{shown} conflict: {rule}")
