"""Options made from the declarations of the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from outbox_notify.config.settings import Declaration, declarations

if TYPE_CHECKING:
    from collections.abc import Callable


def setting_options(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds an option for each setting; by default for all but passwords and tokens.

    Values arrive under the setting's name, as texts or None when not given; the loader reads and checks them.
    """
    wanted = names or tuple(name for name, item in declarations().items() if item.shown != "never")

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in reversed(wanted):
            function = _option(declarations()[name])(function)
        return function

    return decorate


def _option(declaration: Declaration) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    notes = [declaration.variable] + [f"default: {declaration.default}"] * bool(declaration.default)
    return click.option(
        f"--{declaration.name.replace('_', '-')}",
        metavar=declaration.kind.metavar,
        help=f"{declaration.help}  [{'; '.join(notes)}]",
    )
