"""`Event` and the table refuse the same values: a difference would be a trap for somebody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from outbox_notify import Event, InvalidEvent
from outbox_notify.events import MAX_HEADERS_BYTES
from tests.support.postgres import TEMPLATE, fresh_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.postgres import Link, PostgresServers

GOOD: dict[str, Any] = {"tenant_id": "acme", "event_type": "goods.received", "payload": {"sku": "A-1"}}

# Characters near every border of the rules. NUL and lone surrogates are left out: no client can send them.
EDGES = "azAZ09_-.*> \t\n\r/:@[`{~!$\x01\x1f\x7f\x80\x85\x9f\xa0\u0661\u017f\u212a\u2028\ufeff\U0001f600"
CHARACTERS = st.sampled_from(EDGES) | st.characters(
    codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]
)
TOKEN_CHARACTERS = st.sampled_from("azAZ09_-")
TOKENS = st.text(TOKEN_CHARACTERS, min_size=1, max_size=5) | st.integers(62, 66).map("x".__mul__)


def mostly(good: st.SearchStrategy[str], longest: int) -> st.SearchStrategy[str]:
    """Return good texts, good ones with a stranger in them, any texts, and some near the longest."""
    spoiled = st.tuples(good, CHARACTERS, good).map("".join)
    long = st.tuples(st.sampled_from("aé\U0001f600"), st.integers(longest - 2, longest + 2)).map(
        lambda pair: pair[0] * pair[1]
    )
    return good | spoiled | st.text(CHARACTERS, max_size=12) | long


TOKEN_LIKE = mostly(TOKENS, 64)
TYPE_LIKE = mostly(st.lists(TOKENS, max_size=10).map(".".join), 255)
ID_LIKE = mostly(st.text(CHARACTERS, max_size=20), 255)
CONTENT_TYPE_LIKE = mostly(st.text(st.characters(codec="ascii", min_codepoint=0x20), max_size=20), 255)
NAME_LIKE = st.one_of(
    mostly(st.text(st.sampled_from("azAZ09-"), min_size=1, max_size=5), 64),
    st.sampled_from(
        ["Nats-Msg-Id", "nats", "NATS-", "ce-id", "CE-x", "cex", "Status", "status1", "Description"]
    ),
    st.sampled_from(
        ["content-type", "Content-Type-2", "Content_Type", "\u017ftatus", "Nat\u017f-", "traceparent"]
    ),
)
VALUE_LIKE: st.SearchStrategy[object] = ID_LIKE | st.sampled_from([None, 1, True, [], {}, ["a"]])
# Short fractions, because jsonb prints a number in full where Python rounds.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(-9999, 9999).map(lambda n: n / 8) | ID_LIKE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ID_LIKE, inner, max_size=3),
    max_leaves=8,
)


# One database serves all tests of this module: every INSERT is rolled back.
@pytest.fixture(scope="module", params=[16, 18])
def connection(request: pytest.FixtureRequest, postgres_servers: PostgresServers) -> Iterator[Link]:
    server = postgres_servers.server(request.param)
    with fresh_database(server, TEMPLATE) as url, psycopg.connect(url) as link:
        yield link


explore = settings(max_examples=150, deadline=None)


def event_takes(fields: dict[str, Any]) -> bool:
    try:
        Event(**fields)
    except InvalidEvent:
        return False
    return True


def table_takes(connection: Link, fields: dict[str, Any]) -> bool:
    """Tell whether a plain INSERT is accepted; anything but a check violation fails the test."""
    values = {
        name: Jsonb(value) if name in {"payload", "headers"} else value for name, value in fields.items()
    }
    columns = psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, values))
    places = psycopg.sql.SQL(", ").join(map(psycopg.sql.Placeholder, values))
    insert = psycopg.sql.SQL("INSERT INTO event_outbox ({}) VALUES ({})").format(columns, places)
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(insert, values)
    except psycopg.errors.CheckViolation:
        return False
    return True


def assert_agreed(connection: Link, **fields: Any) -> None:
    changed = {name: value for name, value in {**GOOD, **fields}.items() if value is not ...}
    assert event_takes(changed) == table_takes(connection, changed)


@explore
@given(value=TOKEN_LIKE)
@example(value="a\n")
def test_tenant_rules_agree(connection: Link, value: str) -> None:
    assert_agreed(connection, tenant_id=value)


@explore
@given(value=TYPE_LIKE)
@example(value=".".join("abcdefgh"))
@example(value=".".join("abcdefghi"))
@example(value="a." * 7 + "x" * 64)
@example(value=".".join(["x" * 63] * 4))
@example(value=".".join(["x" * 64] * 3 + ["x" * 61]))
def test_event_type_rules_agree(connection: Link, value: str) -> None:
    assert_agreed(connection, event_type=value)


@explore
@given(kind=TOKEN_LIKE | st.just(...), identity=ID_LIKE | st.just(...))
def test_aggregate_rules_agree(connection: Link, kind: object, identity: object) -> None:
    assert_agreed(connection, aggregate_type=kind, aggregate_id=identity)


@explore
@given(value=CONTENT_TYPE_LIKE)
def test_content_type_rules_agree(connection: Link, value: str) -> None:
    assert_agreed(connection, content_type=value)


@explore
@given(value=st.dictionaries(NAME_LIKE, VALUE_LIKE, max_size=3))
def test_header_rules_agree(connection: Link, value: dict[str, object]) -> None:
    assert_agreed(connection, headers=value)


@explore
@given(
    filling=st.text(st.sampled_from('x"\\/é\u2028\U0001f600\xa0'), min_size=1, max_size=9),
    names=st.integers(1, 3),
    beyond=st.integers(-3, 3),
)
def test_header_size_is_measured_alike(connection: Link, filling: str, names: int, beyond: int) -> None:
    sized = {f"x{number}": "" for number in range(names - 1)} | {"filling": filling}
    missing = MAX_HEADERS_BYTES + beyond - len(Event(**GOOD, headers=sized).headers_json.encode())

    assert_agreed(connection, headers={**sized, "filling": filling + "x" * missing})


@explore
@given(value=JSON.filter(lambda value: value is not None))
def test_every_json_payload_is_taken_and_kept(connection: Link, value: object) -> None:
    payload = Event(**{**GOOD, "payload": value}).payload_json

    assert connection.execute("SELECT %s::jsonb", [payload]).fetchone() == (value,)
    assert_agreed(connection, payload=value)


@explore
@given(payload=st.just({}) | st.just(...), payload_bytes=st.binary(max_size=3) | st.just(...))
def test_body_rules_agree(connection: Link, payload: object, payload_bytes: object) -> None:
    assert_agreed(connection, payload=payload, payload_bytes=payload_bytes)


@pytest.mark.parametrize(
    "bad",
    [
        {"tenant_id": ""},
        {"tenant_id": "acme.inc"},
        {"tenant_id": "x" * 65},
        {"tenant_id": "acme\n"},
        {"event_type": "goods..received"},
        {"event_type": "goods.*"},
        {"event_type": "a.b.c.d.e.f.g.h.i"},
        {"event_type": "x" * 65},
        {"aggregate_type": "order"},
        {"aggregate_id": "1"},
        {"aggregate_type": "a.b", "aggregate_id": "1"},
        {"aggregate_type": "order", "aggregate_id": ""},
        {"aggregate_type": "order", "aggregate_id": "x" * 256},
        {"aggregate_type": "order", "aggregate_id": "1\r\nEvil: yes"},
        {"aggregate_type": "order", "aggregate_id": "1\x85"},
        {"content_type": ""},
        {"content_type": "text/plain\r\nEvil: yes"},
        {"content_type": "text/plän"},
        {"content_type": "x" * 256},
        {"headers": {"Nats-Rollup": "all"}},
        {"headers": {"nats-msg-id": "mine"}},
        {"headers": {"CE-Id": "mine"}},
        {"headers": {"status": "503"}},
        {"headers": {"Description": "no"}},
        {"headers": {"Content-Type": "text/plain"}},
        {"headers": {"X-A": "1\r\nEvil: yes"}},
        {"headers": {"X A": "1"}},
        {"headers": {"": "1"}},
        {"headers": {"x" * 65: "1"}},
        {"headers": {"X-A": 1}},
        {"headers": {"X-A": None}},
        {"headers": {"X-A": "x" * MAX_HEADERS_BYTES}},
        {"headers": []},
        {"headers": "X-A: 1"},
        {"payload": ...},
        {"payload_bytes": b"{}"},
    ],
    ids=repr,
)
def test_bad_value_is_refused_by_both(connection: Link, bad: dict[str, Any]) -> None:
    fields = {name: value for name, value in {**GOOD, **bad}.items() if value is not ...}

    assert not table_takes(connection, fields)
    assert not event_takes(fields if "payload" in fields else {**fields, "payload": None})


@pytest.mark.parametrize(
    "field", ["tenant_id", "event_type", "content_type", "headers", "event_id", "available_at"]
)
def test_null_is_refused_where_the_table_needs_a_value(connection: Link, field: str) -> None:
    insert = psycopg.sql.SQL("INSERT INTO event_outbox ({}) VALUES ({})")
    fields = {**GOOD, "payload": Jsonb(GOOD["payload"]), field: None}
    columns = psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, fields))
    places = psycopg.sql.SQL(", ").join(map(psycopg.sql.Placeholder, fields))

    with pytest.raises(psycopg.errors.NotNullViolation), connection.transaction():
        connection.execute(insert.format(columns, places), fields)
