"""Statements as each driver wants them, made from one text."""

from __future__ import annotations

from importlib import resources

import pytest

from outbox_notify.errors import ConfigError
from outbox_notify.statements import numbered, statement, with_colons, with_plain_marks

NAMES = sorted(
    file.name.removesuffix(".sql") for file in resources.files("outbox_notify").joinpath("sql").iterdir()
)


def test_parameters_are_marked_as_each_driver_wants_them() -> None:
    assert numbered("serialize", "shop").names == ("aggregates", "lock_class")
    assert "json_to_recordset($1::text::json)" in numbered("serialize", "shop").text
    assert "pg_advisory_xact_lock($2::int, key)" in numbered("serialize", "shop").text
    assert "unnest((:bodies)::bytea[])" in with_colons("emit", "shop")
    assert "unnest(%(bodies)s::bytea[])" in with_plain_marks("emit", "shop")
    assert "unnest(%(bodies)b::bytea[])" in statement("emit", "shop")


def test_no_marks_are_left_over() -> None:
    for name in NAMES:
        made = numbered(name, "shop").text + with_colons(name, "shop")
        assert not any(mark in made for mark in ("%(", "%%", "{schema}", "{{")), name


def test_schema_that_is_no_identifier_is_refused() -> None:
    with pytest.raises(ConfigError, match="must start with a-z"):
        statement("emit", 'public"; DROP TABLE event_outbox; --')
