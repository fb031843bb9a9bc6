"""How a command ends: errors become one line each on stderr and the exit code of their class."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from click.exceptions import Exit

from outbox_notify.errors import ConfigError, OutboxError
from outbox_notify.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

INTERRUPTED = 130
BROKEN_PIPE = 141

EXIT_CODES = (
    ("0", "done"),
    ("1", "a check failed, or the command did"),
    ("2", "usage"),
    ("69", "PostgreSQL or NATS unreachable"),
    ("77", "not permitted"),
    ("78", "settings or schema wrong"),
    ("130", "interrupted"),
)


@contextmanager
def exit_codes() -> Iterator[None]:
    """Leave through click: our errors with their text and code, Ctrl-C and a closed pipe silently.

    Anything else is a mistake of ours and keeps its traceback.
    """
    try:
        yield
    except (OutboxError, BaseExceptionGroup) as error:
        code = _report(list(_leaves(error)))
        if code is None:
            raise
        raise Exit(code) from None
    except KeyboardInterrupt:
        raise Exit(INTERRUPTED) from None
    except BrokenPipeError:
        _discard_stdout()
        raise Exit(BROKEN_PIPE) from None


def _report(causes: list[BaseException]) -> int | None:
    """Print what we understand and return the exit code; None when something else is among the causes."""
    if any(isinstance(cause, KeyboardInterrupt) for cause in causes):
        return INTERRUPTED
    errors = [cause for cause in causes if isinstance(cause, OutboxError)]
    if len(errors) < len(causes):
        return None
    for problem in dict.fromkeys(problem for error in errors for problem in _problems(error)):
        _print(problem)
    return max(error.exit_code for error in errors)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error


def _problems(error: OutboxError) -> list[str]:
    return error.problems if isinstance(error, ConfigError) else [str(error)]


def _print(problem: str) -> None:
    first, *more = problem.splitlines() or ["failed"]
    click.echo(f"outbox-notify: {one_line(first, 2000)}", err=True)
    for line in more:
        click.echo(f"  {one_line(line, 2000)}", err=True)


def _discard_stdout() -> None:
    # Python flushes stdout once more when it ends, and would complain about the closed pipe.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
