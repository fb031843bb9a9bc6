"""What an answer to a published event means."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox_notify.jetstream.answers import read_answer
from outbox_notify.relay.outcomes import Failed, Outcome, Published, Released, Rested, Retry

ROUTE = "acme.stock.moved"
NUMBERS_AND_TEXTS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


def refusal(status: int, code: int) -> bytes:
    error = {"code": status, "err_code": code, "description": "no"}
    return json.dumps({"error": error, "stream": "OUTBOX", "seq": 0}).encode()


def test_ack_says_stream_sequence_and_whether_it_was_known() -> None:
    assert read_answer(None, b'{"stream": "OUTBOX", "seq": 7}', ROUTE) == Published("OUTBOX", 7)
    known = read_answer(None, b'{"stream": "OUTBOX", "seq": 7, "duplicate": true}', ROUTE)
    assert known == Published("OUTBOX", 7, duplicate=True)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (10077, Rested(ROUTE, "no (10077)")),
        (10054, Failed("no (10054)", counted=True)),
        (10158, Released("no (10158)")),
        (19999, Retry("no (19999)")),
    ],
)
def test_refusal_is_judged(code: int, outcome: Outcome) -> None:
    assert read_answer(None, refusal(400, code), ROUTE) == outcome


def test_refusal_of_a_flood_is_read_though_its_headers_carry_a_status_too() -> None:
    headers = {"Status": "429", "Description": "Too Many Requests"}
    assert read_answer(headers, refusal(429, 10167), ROUTE) == Released("no (10167)")


def test_status_of_a_refusal_counts_where_its_code_is_not_known() -> None:
    assert read_answer(None, refusal(503, 19999), ROUTE) == Rested(ROUTE, "no (19999)")


def test_answer_that_nobody_listens_rests_the_route() -> None:
    outcome = read_answer({"Status": "503"}, b"", ROUTE)
    assert isinstance(outcome, Rested)
    assert "503" in outcome.reason


def test_other_headers_do_not_matter() -> None:
    assert read_answer({"X": "y"}, b'{"stream": "OUTBOX", "seq": 7}', ROUTE) == Published("OUTBOX", 7)


@given(st.binary())
def test_no_noise_is_an_ack(data: bytes) -> None:
    assert not isinstance(read_answer(None, data, ROUTE), Published)


@given(
    st.dictionaries(
        st.sampled_from(["stream", "seq", "error", "duplicate", "err_code"]),
        NUMBERS_AND_TEXTS
        | st.lists(NUMBERS_AND_TEXTS)
        | st.dictionaries(st.just("err_code"), NUMBERS_AND_TEXTS),
    )
)
def test_only_a_stream_and_a_sequence_above_zero_are_an_ack(answer: dict[str, object]) -> None:
    outcome = read_answer(None, json.dumps(answer).encode(), ROUTE)
    if isinstance(outcome, Published):
        assert type(answer["stream"]) is str
        assert type(answer["seq"]) is int
        assert answer["seq"] > 0
        assert not answer.get("error")
