"""How texts become values, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from outbox_notify.config import values
from outbox_notify.config.settings import declarations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("5s", 5.0),
        ("1.5s", 1.5),
        ("2m", 120.0),
        ("24h", 86400.0),
        ("7d", 604800.0),
        ("0", 0.0),
    ],
)
def test_durations_are_read_as_seconds(text: str, seconds: float) -> None:
    assert values.duration("0", "30d").read(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "-5s", "s", "5 5s", "5w", "1h30m", "\u0665s", "1e3s", "inf", "nan", "5s\n"]
)
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="with its unit"):
        values.duration("0", "30d").read(text)


@pytest.mark.parametrize("text", ["99ms", "3601s", "2h"])
def test_durations_out_of_range_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="from 100ms to 1h"):
        values.duration("100ms", "1h").read(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("65536", 65536), ("64KiB", 65536), ("16MiB", 16 * 2**20), ("16MB", 16_000_000), ("1gib", 2**30)],
)
def test_sizes_are_read_as_bytes(text: str, size: int) -> None:
    assert values.size("64KiB", "1GiB").read(text) == size


@pytest.mark.parametrize("text", ["", "0", "65535", "63KiB", "2GiB", "16M", "-1", "16 MiB MiB"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="from 64KiB to 1GiB"):
        values.size("64KiB", "1GiB").read(text)


@pytest.mark.parametrize("name", [name for name, item in declarations().items() if item.name != "relay_id"])
def test_every_default_survives_being_written_and_read(name: str) -> None:
    declaration = declarations()[name]
    if declaration.default:
        value = declaration.kind.read(declaration.default)
        assert declaration.kind.read(declaration.kind.write(value)) == value


@given(st.integers(min_value=1, max_value=3_600_000))
def test_a_duration_that_is_shown_reads_the_same(milliseconds: int) -> None:
    kind = values.duration("1ms", "1h")
    seconds = kind.read(f"{milliseconds}ms")
    assert kind.read(kind.write(seconds)) == pytest.approx(seconds)


def refused(setting: str, text: str) -> bool:
    try:
        declarations()[setting].kind.read(text)
    except ValueError:
        return True
    return False


IDENTIFIERS = [
    'a"b', "a;b", "a b", "", "1a", "A", "ä", "a" * 51, "public\n", "pg_toast", "a.b", "a'b", "a\x00b", "${x}",
]  # fmt: skip


@pytest.mark.parametrize("text", IDENTIFIERS)
def test_t58_a_schema_that_could_break_out_of_its_quotes_is_refused(text: str) -> None:
    assert refused("schema", text)


@pytest.mark.parametrize("text", ["public", "_x", "outbox_2", "a" * 50])
def test_plain_schemas_are_taken(text: str) -> None:
    assert declarations()["schema"].kind.read(text) == text


@pytest.mark.parametrize(
    "text", ["", ".", "a.", ".a", "a..b", "$SYS", "$JS.API", "a.*", "a.>", "a b", "é", "a\n"]
)
def test_subject_prefixes_that_are_no_tokens_are_refused(text: str) -> None:
    assert refused("subject_prefix", text)


@pytest.mark.parametrize("text", ["", "a.b", "a b", "a*", ">", "a/b", "a\\b", "a" * 65, "a\n"])
def test_stream_names_that_the_server_would_refuse_are_refused(text: str) -> None:
    assert refused("stream", text)


@pytest.mark.parametrize(
    "text", ["127.0.0.1:9464", "[::1]:9464", "localhost:0", ":80", "host", "a:99999", "a:b:1"]
)
def test_http_takes_host_and_port(text: str) -> None:
    assert refused("http", text) == (text in {":80", "host", "a:99999", "a:b:1"})


def test_http_off_is_none() -> None:
    assert declarations()["http"].kind.read("off") is None


URLS: list[tuple[str, str, bool]] = [
    ("database_url", "postgresql://u:p@h:5432/d?sslmode=require", True),
    ("database_url", "postgres://u@[::1]:5432/d", True),
    ("database_url", "postgresql://u:p@a:1,b:2/d?target_session_attrs=read-write", True),
    ("database_url", "postgresql:///d?host=/run/postgresql", True),
    ("database_url", "host=h user=u dbname=d", True),
    ("database_url", "mysql://u:p@h/d", False),
    ("database_url", "h", False),
    ("database_url", "postgresql://u:p@ss@h/d", False),
    ("database_url", "postgresql://u:p/ss@h/d", False),
    ("database_url", "postgresql://u:12/ss@h/d", False),
    ("database_url", "postgresql://u:p#ss@h/d", False),
    ("nats_url", "nats://h:4222", True),
    ("nats_url", "tls://u:p@a,nats://b:1", True),
    ("nats_url", "http://h", False),
    ("nats_url", "h:4222", False),
    ("nats_url", "nats://h:port", False),
]


@pytest.mark.parametrize(("setting", "url", "taken"), URLS)
def test_urls_are_checked_for_what_error_texts_would_show(setting: str, url: str, *, taken: bool) -> None:
    assert refused(setting, url) is not taken


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:p@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:p@ss/w?rd@h/d", "postgresql://u:***@h/d"),
        (
            "postgresql://h/d?user=u&password=p&sslpassword=q",
            "postgresql://h/d?user=u&password=***&sslpassword=***",
        ),
        ("host=h password='p q' user=u", "host=h password=*** user=u"),
        ("host=h password=p&q user=u", "host=h password=*** user=u"),
        (r"host=h password=p\ q user=u", "host=h password=*** user=u"),
        (r"host=h password='p\'q' user=u", "host=h password=*** user=u"),
        ("host=h password='p q", "host=h password=***"),
        ("nats://token@h", "nats://***@h"),
        ("nats://token@a, nats://other@b", "nats://***@a, nats://***@b"),
        ("no answer from nats://token@h in time", "no answer from nats://***@h in time"),
        ("nats://u:p@a,tls://u:q@b", "nats://u:***@a,tls://u:***@b"),
        ("nats://h:4222", "nats://h:4222"),
    ],
)
def test_urls_are_shown_without_their_secrets(url: str, shown: str) -> None:
    assert values.mask_urls(url) == shown


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=8))
def test_no_password_survives_masking(password: str) -> None:
    shown = "postgresql://user:***@host/db"
    assume(password not in shown)
    assert values.mask_urls(f"postgresql://user:{password}@host/db") == shown


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("postgresql://u:p%40ss@h/d", {"p%40ss", "p@ss"}),
        ("nats://tok@a,tls://u:q@b", {"tok", "q"}),
        ("nats://u:p@a, nats://tok@b", {"p", "tok"}),
        ("host=h password='p q'", {"p q"}),
        ("host=h password=p&q", {"p&q"}),
        (r"host=h password='p\'q'", {r"p\'q", "p'q"}),
        ("postgresql://u@h/d", set()),
    ],
)
def test_passwords_are_found_as_written_and_decoded(value: str, found: set[str]) -> None:
    assert set(values.passwords(value)) == found


@pytest.mark.parametrize(("kind", "text", "value"), [
    (values.boolean(), "TRUE", True), (values.boolean(), "false", False), (values.choice("a", "b"), "A", "a"),
    (values.integer(1, 5), "5", 5),
])  # fmt: skip
def test_words_and_numbers_are_read(kind: values.Kind, text: str, value: Any) -> None:
    assert kind.read(text) == value


@pytest.mark.parametrize(("kind", "text"), [
    (values.boolean(), "yes"), (values.choice("a", "b"), "c"), (values.integer(1, 5), "0"),
    (values.integer(1, 5), "6"), (values.integer(1, 5), "1.0"), (values.integer(1, 5), "\u0663"),
])  # fmt: skip
def test_other_words_and_numbers_are_refused(kind: values.Kind, text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        kind.read(text)
