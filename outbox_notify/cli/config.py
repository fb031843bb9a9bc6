"""`outbox-notify config`: what the settings are and where they come from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from outbox_notify.config.settings import declarations
from outbox_notify.text import one_line

if TYPE_CHECKING:
    from outbox_notify.config.load import Loaded


@click.group("config")
def command() -> None:
    """Look at the settings."""


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON: {setting: {value, source}}.")
@click.pass_context
def show(ctx: click.Context, *, as_json: bool) -> None:
    """Show every setting with its source, secrets masked.

    A value is taken from the first of: flag, environment, TOML file, systemd credential, default.
    Exits 78 and names all problems when something is wrong.
    """
    loaded = ctx.obj.loaded()
    ctx.obj.warn(loaded)
    if as_json:
        click.echo(json.dumps(_document(loaded), indent=2))
        return
    _print_table(
        [(name, loaded.settings.shown(name) or "-", loaded.sources[name]) for name in declarations()]
    )


def _document(loaded: Loaded) -> dict[str, dict[str, Any]]:
    """Numbers stay numbers: seconds and bytes."""
    return {
        name: {
            "value": loaded.settings.shown(name) if item.secret else getattr(loaded.settings, name),
            "source": loaded.sources[name],
        }
        for name, item in declarations().items()
    }


def _print_table(rows: list[tuple[str, str, str]]) -> None:
    widths = [min(max(len(row[column]) for row in rows), 48) for column in (0, 1)]
    for name, value, source in rows:
        click.echo(f"{name:<{widths[0]}}  {one_line(value):<{widths[1]}}  {one_line(source)}")
