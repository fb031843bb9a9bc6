"""What can be a subject of the outbox."""

from __future__ import annotations

import pytest

from outbox_notify.subjects import subject_of, valid_event_type, valid_token


@pytest.mark.parametrize("text", ["a", "Tenant_1-x", "0", "-", "_", "a" * 64])
def test_token_is_letters_digits_underscore_and_hyphen(text: str) -> None:
    assert valid_token(text)


@pytest.mark.parametrize(
    "text",
    ["", "a" * 65, "a.b", "a b", "*", ">", "$", "a\n", "\na", "a\0", "é", "\u0661", "\u212a", "\uff41"],
)
def test_token_is_nothing_else(text: str) -> None:
    assert not valid_token(text)


@pytest.mark.parametrize(
    "text", ["a", "goods.received", ".".join("abcdefgh"), ".".join(["a" * 64] * 3 + ["b" * 60])]
)
def test_event_type_is_one_to_eight_tokens(text: str) -> None:
    assert valid_event_type(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        ".a",
        "a.",
        "a..b",
        "a.*",
        "a.>",
        "a.b\n",
        ".".join("abcdefghi"),
        "x." + "a" * 65,
        ".".join(["a" * 64] * 3 + ["b" * 61]),
    ],
)
def test_event_type_is_nothing_else(text: str) -> None:
    assert not valid_event_type(text)


def test_subject_is_prefix_tenant_and_type() -> None:
    assert subject_of("events", "acme", "goods.received") == "events.acme.goods.received"
