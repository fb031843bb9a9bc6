"""What every verb finds in `ctx.obj`: the options given before it, and how to get at the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click

from outbox_notify.text import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from outbox_notify.config.load import Loaded, Settings


class Invocation(NamedTuple):
    """One run of the command: its config file, and options that stood before the verb."""

    config_file: Path | None
    flags: dict[str, str | None]

    def loaded(self, **flags: str | None) -> Loaded:
        """Return settings with their sources; options of the verb go before those of the group.

        Raises:
            ConfigError: with all problems together.
        """
        from outbox_notify.config.load import load_settings  # noqa: PLC0415  # `--help` must not wait for it

        given = {name: text for name, text in flags.items() if text is not None}
        return load_settings({**self.flags, **given}, config_file=self.config_file)

    def settings(self, **flags: str | None) -> Settings:
        """Return the settings, and print warnings about the environment on stderr.

        Raises:
            ConfigError: with all problems together.
        """
        loaded = self.loaded(**flags)
        self.warn(loaded)
        return loaded.settings

    def warn(self, loaded: Loaded) -> None:
        """Print what the user should know about the environment on stderr."""
        for warning in loaded.warnings:
            click.echo(f"outbox-notify: warning: {one_line(warning)}", err=True)
