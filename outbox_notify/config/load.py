"""Settings as the process uses them: read from their sources, checked, and every problem told at once."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from outbox_notify.config.rules import conflicts
from outbox_notify.config.settings import Settings, declarations
from outbox_notify.config.sources import (
    Layer,
    from_credentials,
    from_environment,
    from_file,
    from_flags,
    strangers,
)
from outbox_notify.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["Loaded", "Settings", "load_settings", "with_fresh_logins"]

# The others are paths: what stands there is read for each connection anyway.
_LOGINS = ("nats_user", "nats_password", "nats_token", "nats_nkey_seed")


class Loaded(NamedTuple):
    """Settings, where each one came from by name, and what the user should know about the environment."""

    settings: Settings
    sources: dict[str, str]
    warnings: list[str]


def load_settings(
    flags: Mapping[str, str | None] | None = None,
    environ: Mapping[str, str] | None = None,
    config_file: Path | None = None,
) -> Loaded:
    """Read all settings, and report everything that is wrong with them together.

    Args:
        flags: values of command line options by setting; None means not given.
        environ: the environment; the process's own by default.
        config_file: a TOML file that must exist; by default `outbox-notify.toml` is read when there is one.

    Raises:
        ConfigError: with one text for each problem; none repeats a secret.
    """
    environ = os.environ if environ is None else environ
    problems: list[str] = []
    given: Layer = {  # the strongest last
        **from_credentials(environ.get("CREDENTIALS_DIRECTORY", ""), problems),
        **from_file(config_file, problems),
        **from_environment(environ, problems),
        **from_flags(flags or {}),
    }
    settings, bad = _read(given, problems)
    problems += [conflict.text for conflict in conflicts(settings) if not bad & conflict.settings]
    if problems:
        raise ConfigError(problems)
    sources = {name: given[name].source if name in given else "default" for name in declarations()}
    return Loaded(settings, sources, [f"{stranger}; ignored" for stranger in strangers(environ)])


def with_fresh_logins(settings: Settings, load: Callable[[], Settings]) -> Settings:
    """Return settings with who we are to NATS as it is written now: files of secrets may have changed.

    Args:
        settings: everything else stays as it is here.
        load: reads all settings again.

    Raises:
        ConfigError: what is written now is not right.
    """
    now = load()
    return replace(settings, **{name: getattr(now, name) for name in _LOGINS})


def _read(given: Layer, problems: list[str]) -> tuple[Settings, set[str]]:
    """Return settings from the good values, and the names of the others."""
    good, bad = {}, set()
    for name, declaration in declarations().items():
        if name not in given:
            continue
        text, label, _ = given[name]
        try:
            good[name] = declaration.kind.read(text)
        except ValueError as error:
            shown = "" if declaration.secret else f" {_shortened(text)}"
            problems.append(f"{label}{shown} {error}")
            bad.add(name)
    return Settings(**good), bad


def _shortened(text: str) -> str:
    shown = ascii(text)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
