from __future__ import annotations

from uuid import UUID

import click
import pytest

from outbox_notify.cli.parameters import Duration, EventName
from outbox_notify.cli.tables import LONGEST_CELL, table


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("5s", 5), ("2m", 120), ("24h", 86400), ("7d", 604800)]
)
def test_durations_are_read_as_seconds(text: str, seconds: float) -> None:
    assert Duration("1ms", "30d").convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "5", "5 parsecs", "-1s", "31d", "0ms"])
def test_what_is_no_duration_or_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="must be a duration from 1ms to 30d"):
        Duration("1ms", "30d").convert(text, None, None)


def test_number_without_unit_is_taken_where_there_is_a_usual_one() -> None:
    duration = Duration("100ms", "1h", bare="s")
    assert duration.convert("0.5", None, None) == 0.5
    assert duration.convert("500ms", None, None) == 0.5
    with pytest.raises(click.BadParameter):
        duration.convert("7200", None, None)


def test_events_are_named_by_row_id_or_event_id() -> None:
    event_id = "01a2091a-eb7c-7989-8aef-0185f156e00d"
    assert EventName().convert("17", None, None) == 17
    assert EventName().convert(event_id, None, None) == UUID(event_id)


@pytest.mark.parametrize("text", ["", "-1", "1.5", "seventeen", "9" * 19, "٣"])
def test_what_names_no_event_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="neither a row id nor an event id"):
        EventName().convert(text, None, None)


def test_tables_keep_every_row_on_one_line_and_columns_aligned() -> None:
    lines = list(table(("ID", "ERROR"), [(1, "two\nlines\x1b[31m"), (1000, "x" * 1000)]))
    assert lines[0] == "ID    ERROR"
    assert lines[1] == "1     two\\nlines\\x1b[31m"
    assert len(lines[2]) == len("1000  ") + LONGEST_CELL
