"""Every setting, declared once: name, kind, default and help; options and reference are made from it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, Literal, NamedTuple

from outbox_notify.config import values
from outbox_notify.errors import ConfigError

PREFIX = "OUTBOX_"

_POSTGRES, _NATS = values.postgres_url(), values.nats_url()
_PATH = values.text(r"[^\x00]+", "must be a path", "PATH")
_SECRET = values.text(r"[^\x00-\x1f\x7f]+", "must be one line without control characters")
_LOGIN = values.text(r"[^:\x00-\x1f\x7f]+:[^\x00-\x1f\x7f]+", "must be user:password")
_SCHEMA = values.text(
    r"(?!pg_)[a-z_][a-z0-9_]{0,49}",
    "must start with a-z or _, go on with a-z, 0-9 or _, have at most 50 characters and not start with pg_",
)
_STREAM = values.text(r"[A-Za-z0-9_-]{1,64}", "must be 1 to 64 of the characters A-Z a-z 0-9 _ -")
_SUBJECTS = values.text(
    r"(?=.{1,128}$)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*",
    "must be tokens of A-Z a-z 0-9 _ - joined by dots, at most 128 characters together",
)
_RELAY_ID = values.text(r"[A-Za-z0-9_.:-]{1,64}", "must be 1 to 64 of the characters A-Z a-z 0-9 _ . : -")
_URI = values.text(r"[!-~]{1,255}", "must be 1 to 255 printable ASCII characters without spaces")
_HOST = values.text(r"[A-Za-z0-9_.:-]{1,253}", "must be a host name")


class Declaration(NamedTuple):
    """What is known about one setting.

    Args:
        name: attribute of `Settings`.
        kind: how its text is read.
        default: its default as one would write it, or how it is made.
        help: one sentence for people.
        shown: `plain`; `masked`, a URL whose password is hidden; or `never`. The last two may come from a
            file, and `never` has no option, since command lines are public.
    """

    name: str
    kind: values.Kind
    default: str
    help: str
    shown: Literal["plain", "masked", "never"]

    @property
    def variable(self) -> str:
        """The environment variable that holds it."""
        return PREFIX + self.name.upper()

    @property
    def secret(self) -> bool:
        """Whether it may hold a secret, and so may be read from a file."""
        return self.shown != "plain"

    @property
    def path(self) -> bool:
        """Whether it names a file whose content somebody else reads."""
        return self.kind is _PATH


def _setting(
    kind: values.Kind,
    default: str | None,
    text: str,
    shown: Literal["plain", "masked", "never"] = "plain",
) -> Any:
    value = None if default is None else kind.read(default)
    return field(
        default=value, metadata={"kind": kind, "default": default or "", "help": text, "shown": shown}
    )


def _new_relay_id() -> str:
    host = re.sub(r"[^A-Za-z0-9_.:-]", "-", os.uname().nodename)[:50] or "relay"
    return f"{host}-{os.urandom(4).hex()}"


@dataclass(frozen=True, kw_only=True, repr=False)
class Settings:
    """All settings, read and checked. Durations are seconds, sizes are bytes."""

    database_url: str | None = _setting(
        _POSTGRES, None, "PostgreSQL with the outbox: postgresql://user:password@host:5432/dbname.", "masked"
    )
    listen_database_url: str | None = _setting(
        _POSTGRES, None, "Direct connection for LISTEN when the database URL goes through a pooler.", "masked"
    )
    nats_url: str = _setting(_NATS, "nats://127.0.0.1:4222", "NATS servers, parted by commas.", "masked")
    nats_creds: str | None = _setting(_PATH, None, "NATS credentials file (.creds).")
    nats_user: str | None = _setting(_SECRET, None, "NATS user name.")
    nats_password: str | None = _setting(_SECRET, None, "NATS password.", "never")
    nats_token: str | None = _setting(_SECRET, None, "NATS token.", "never")
    nats_nkey_seed: str | None = _setting(_SECRET, None, "NATS NKey seed (SU...).", "never")
    nats_tls_ca: str | None = _setting(_PATH, None, "CA certificates that NATS servers are checked against.")
    nats_tls_cert: str | None = _setting(_PATH, None, "Client certificate for NATS.")
    nats_tls_key: str | None = _setting(_PATH, None, "Key of the client certificate.")
    nats_tls_hostname: str | None = _setting(_HOST, None, "Name to expect in the NATS server's certificate.")
    nats_tls_first: bool = _setting(
        values.boolean(), "false", "Begin with TLS, before NATS says anything; the server must be set so."
    )
    schema: str = _setting(_SCHEMA, "public", "Schema that holds the table event_outbox.")
    stream: str = _setting(_STREAM, "OUTBOX", "JetStream stream; created when no stream covers the subjects.")
    subject_prefix: str = _setting(
        _SUBJECTS, "events", "First part of every subject, before tenant and event type."
    )
    ce_source: str = _setting(_URI, "outbox-notify", "CloudEvents source of every message.")
    batch_size: int = _setting(values.integer(1, 10_000), "1000", "Events per claim, at most.")
    max_in_flight_bytes: int = _setting(
        values.size("64KiB", "1GiB"),
        "16MiB",
        "Bytes of bodies and headers claimed and not yet settled, at most.",
    )
    lease: float = _setting(
        values.duration("100ms", "1h"), "30s", "How long a claim holds; then another relay may reclaim it."
    )
    sweep_interval: float = _setting(
        values.duration("50ms", "1h"), "5s", "How often to look for due events without being woken."
    )
    publish_timeout: float = _setting(
        values.duration("50ms", "10m"), "10s", "How long to wait for JetStream's acks of a batch."
    )
    retry_base: float = _setting(
        values.duration("1ms", "1h"), "1s", "Longest wait before the first retry; doubles with each attempt."
    )
    retry_max: float = _setting(values.duration("1ms", "7d"), "5m", "Longest wait before any retry.")
    max_attempts: int = _setting(
        values.integer(1, 1000), "10", "Counted failures after which an event is set to failed."
    )
    max_claims: int = _setting(
        values.integer(1, 1000),
        "5",
        "Claims without an outcome after which an event is published alone, then failed.",
    )
    ordering: Literal["aggregate", "none"] = _setting(
        values.choice("aggregate", "none"), "aggregate", "Keep the order of events of one aggregate, or not."
    )
    on_failed: Literal["skip", "block"] = _setting(
        values.choice("skip", "block"), "skip", "Whether a failed event holds back the rest of its aggregate."
    )
    wake: Literal["armed", "always", "poll"] = _setting(
        values.choice("armed", "always", "poll"),
        "armed",
        "NOTIFY while a relay sleeps (armed), on every insert (always), or never (poll: two-phase commit).",
    )
    retention: float = _setting(
        values.duration("0", "3650d"),
        "24h",
        "How long published events are kept; 0 deletes them when published.",
    )
    shutdown_timeout: float = _setting(
        values.duration("0", "1h"), "30s", "How long a stop, or a drain without progress, may take."
    )
    http: str | None = _setting(values.address_or_off(), "127.0.0.1:9464", "Address of health and metrics.")
    http_auth: str | None = _setting(
        _LOGIN, None, "Login that metrics and status ask for, as user:password.", "never"
    )
    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        values.choice("debug", "info", "warning", "error"), "info", "Least level that is logged."
    )
    log_format: Literal["auto", "text", "json"] = _setting(
        values.choice("auto", "text", "json"), "auto", "Text, JSON lines, or text only on a terminal (auto)."
    )
    relay_id: str = field(
        default_factory=_new_relay_id,
        metadata={
            "kind": _RELAY_ID,
            "default": "host name and a random suffix",
            "help": "Name of this relay in claimed_by and logs; must differ between relays.",
            "shown": "plain",
        },
    )

    def require_database_url(self) -> str:
        """Return the database URL.

        Raises:
            ConfigError: it is not set; the text names the variable.
        """
        if self.database_url is None:
            raise ConfigError(
                "no database: set OUTBOX_DATABASE_URL=postgresql://user:password@host:5432/dbname"
            )
        return self.database_url

    def require_listen_database_url(self) -> str:
        """Return the URL for connections that must not go through a pooler; the database URL unless set.

        Raises:
            ConfigError: neither is set.
        """
        return self.listen_database_url or self.require_database_url()

    def shown(self, name: str) -> str | None:
        """Return one setting as text that is safe to show, or None when it is not set."""
        declaration, value = declarations()[name], getattr(self, name)
        if value is None and name != "http":
            return None
        if declaration.shown == "never":
            return "***"
        written = declaration.kind.write(value)
        return values.mask_urls(written) if declaration.shown == "masked" else written

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={self.shown(name)}' for name in declarations())})"


@cache
def declarations() -> dict[str, Declaration]:
    """Return the declaration of every setting by name, in the order of the documentation."""
    return {item.name: Declaration(item.name, **item.metadata) for item in fields(Settings)}
