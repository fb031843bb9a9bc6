"""What documents tell to type: the verbs exist, and so do their options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from outbox_notify.cli import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
BLOCK = re.compile(r"^```(?:bash|console|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# From the name of the command to where the shell takes over.
TYPED = re.compile(r"^(?:[#$] )?(?:\S+=\S* )*outbox-notify ([^|&;<>#\n]*)", re.MULTILINE)


def typed(document: Path) -> Iterator[str]:
    """Yield the arguments of the command in each line of a shell that a document shows."""
    for block in BLOCK.findall(document.read_text(encoding="utf-8")):
        yield from TYPED.findall(block.replace("\\\n", ""))


def unknown(words: list[str]) -> list[str]:
    """Return the verb or the options that the command does not know."""
    command: click.Command = cli
    context = click.Context(cli)
    strangers = []
    rest = iter(words)
    for word in rest:
        name, _, value = word.partition("=")
        if name.startswith("-"):
            option = options(command).get(name)
            strangers += [] if option else [name]
            if option and not (option.is_flag or value):
                next(rest, None)
        elif isinstance(command, click.Group):
            found = command.get_command(context, word)
            strangers += [] if found else [word]
            command = found or command
    return strangers


def options(command: click.Command) -> dict[str, click.Option]:
    """Return the options of a command by each of their names."""
    found = [param for param in command.get_params(click.Context(command)) if isinstance(param, click.Option)]
    return {name: option for option in found for name in option.opts}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_that_are_shown_exist(document: Path) -> None:
    assert {line: strangers for line in typed(document) if (strangers := unknown(shlex.split(line)))} == {}


def test_a_command_that_does_not_exist_is_noticed() -> None:
    assert unknown(["failed", "requeu", "--all"]) == ["requeu", "--all"]
    assert unknown(["prune", "--younger-than", "1h"]) == ["--younger-than"]
    assert unknown(["--schema", "outbox", "relais"]) == ["relais"]
    assert unknown(["failed", "requeue", "--all", "--limit=3"]) == []
