"""Kinds of values on the command line that click does not bring."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import click

from outbox_notify.config.values import duration

if TYPE_CHECKING:
    TimeType = click.ParamType[datetime]
    FloatType = click.ParamType[float]
    EventNameType = click.ParamType[int | UUID]
else:
    # Generic only in recent releases of click.
    FloatType = EventNameType = TimeType = click.ParamType


class Duration(FloatType):
    """A duration such as `500ms`, `5s`, `2m`, `24h` or `7d`, as seconds.

    Args:
        least: the shortest allowed.
        most: the longest allowed.
        bare: the unit of a number without one; by default there must be one.
    """

    name = "DURATION"

    def __init__(self, least: str, most: str, bare: str = "") -> None:
        self._read = duration(least, most).read
        self._bare = bare

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds; a number is taken as it is."""
        if isinstance(value, int | float):
            return float(value)
        try:
            text = str(value)
            return float(self._read(text + self._bare if text[-1:].isdigit() else text))
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)


class EventName(EventNameType):
    """A row id of the outbox or an event id."""

    name = "ID"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | UUID:
        """Return an int for a row id, a UUID for an event id."""
        text = str(value)
        if re.fullmatch(r"[0-9]{1,18}", text):
            return int(text)
        try:
            return UUID(text)
        except ValueError:
            self.fail(f"{text!r} is neither a row id nor an event id", param, ctx)


class Time(TimeType):
    """A point in time, as ISO 8601 with an offset."""

    name = "TIME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the time."""
        from outbox_notify.event_lines import read_time  # noqa: PLC0415  # `--help` must not wait for it

        if isinstance(value, datetime):
            return value
        try:
            return read_time(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
