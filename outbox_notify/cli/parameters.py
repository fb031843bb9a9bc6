"""Kinds of values on the command line that click does not bring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from outbox_notify.config_values import duration

if TYPE_CHECKING:
    FloatType = click.ParamType[float]
else:
    # Generic only in recent releases of click.
    FloatType = click.ParamType


class Duration(FloatType):
    """A duration such as `500ms`, `5s`, `2m`, `24h` or `7d`, as seconds."""

    name = "DURATION"

    def __init__(self, least: str, most: str) -> None:
        self._read = duration(least, most).read

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds; a number is taken as it is."""
        if isinstance(value, int | float):
            return float(value)
        try:
            return float(self._read(str(value)))
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)
