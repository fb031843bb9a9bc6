from __future__ import annotations

import pytest

from outbox_notify import __version__
from outbox_notify.config.settings import Settings
from outbox_notify.postgres.relay_names import Kind, means, read_relay_name, relay_name

SHORT, LONG = "relay-1", "warehouse-outbox-relay-7f9c6d5b8-x2x4z-1a2b3c4d"
KINDS: list[Kind] = ["work", "listen", "lock"]


@pytest.mark.parametrize("schema", ["public", "warehouse", "a_schema_with_a_name_that_goes_on_and_on"])
@pytest.mark.parametrize("relay", [SHORT, LONG, "x" * 64])
def test_name_fits_into_postgresql_and_tells_whose_connection_it_is(relay: str, schema: str) -> None:
    names = [relay_name(Settings(relay_id=relay, schema=schema), kind) for kind in KINDS]
    assert max(map(len, names)) <= 63
    seen = [read_relay_name(name) for name in names]
    assert [each and each.kind for each in seen] == KINDS
    (one,) = {each and each[:3] for each in seen}
    assert one is not None
    assert one[0] == __version__
    assert means(one[1], relay)
    assert means(one[2], schema)


def test_what_is_short_stands_as_it_is() -> None:
    name = relay_name(Settings(relay_id=SHORT), "listen")
    assert name == f"outbox-notify relay {__version__} relay-1 listen"


def test_other_relays_and_schemas_are_not_meant() -> None:
    seen = read_relay_name(relay_name(Settings(relay_id=LONG, schema="warehouse"), "work"))
    assert seen is not None
    assert not means(seen.relay, LONG[:-1] + "e")
    assert not means(seen.relay, SHORT)
    assert not means(seen.schema, "public")
    assert not means("relay", SHORT)


def test_names_of_others_tell_nothing() -> None:
    for name in (
        "",
        "outbox-notify status",
        "outbox-notify relay",
        "psql",
        f"my outbox-notify relay 1 {SHORT} work",
    ):
        assert read_relay_name(name) is None
