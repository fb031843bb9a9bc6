"""The page of commands: what each says to --help."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from outbox_notify.cli import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = """\
# Commands

What `--help` says of each. Data goes to stdout, messages to stderr; every verb that reads takes `--json`; every verb
that destroys or sends again takes `--dry-run` and asks, unless it has `--yes`. `python -m outbox_notify` is the same
command. How it ends: [exit codes](exit-codes.md). What stands in the environment: [settings](settings.md).

Written by `make reference`.
"""


def page() -> str:
    """Return the page."""
    top = click.Context(cli, info_name="outbox-notify", terminal_width=100, **cli.context_settings)
    return _HEAD + "".join(_section(context) for context in _contexts(top))


def _contexts(context: click.Context) -> Iterator[click.Context]:
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            assert command is not None
            yield from _contexts(click.Context(command, parent=context, info_name=name))


def _section(context: click.Context) -> str:
    depth = "#" * max(2, len(context.command_path.split()))
    return f"\n{depth} {context.command_path}\n\n```text\n{context.get_help()}\n```\n"
