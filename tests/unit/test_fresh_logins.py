"""Credentials for NATS that are read again while the relay runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from outbox_notify.config.load import Settings, load_settings, with_fresh_logins
from outbox_notify.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def load(environ: dict[str, str]) -> Settings:
    return load_settings(environ=environ).settings


def test_who_we_are_is_what_the_file_says_now_and_all_else_stays(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("old\n")
    environ = {"OUTBOX_NATS_USER": "relay", "OUTBOX_NATS_PASSWORD_FILE": str(secret), "OUTBOX_STREAM": "ONE"}
    settings = load(environ)
    secret.write_text("new\n")
    fresh = with_fresh_logins(settings, lambda: load({**environ, "OUTBOX_STREAM": "TWO"}))
    assert (fresh.nats_user, fresh.nats_password, fresh.stream) == ("relay", "new", "ONE")
    assert fresh.relay_id == settings.relay_id


def test_a_file_that_is_gone_is_told_without_what_it_held(tmp_path: Path) -> None:
    gone = {"OUTBOX_NATS_TOKEN_FILE": str(tmp_path / "gone")}
    with pytest.raises(ConfigError, match="OUTBOX_NATS_TOKEN_FILE: cannot read"):
        with_fresh_logins(Settings(nats_token="c4nary"), lambda: load(gone))  # noqa: S106  # not a real one
