"""Whose fault a refusal is, and how long to wait before trying again."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox_notify.jetstream.answers import read_answer
from outbox_notify.relay.outcomes import Failed, Outcome, Released, Rested, Retry
from outbox_notify.relay.retry import Backoff, full_jitter, judge, lets_route_rest

if TYPE_CHECKING:
    from collections.abc import Callable

ROUTE = "acme.stock.moved"


def seeded(seed: int) -> Random:
    return Random(seed)  # noqa: S311  # nothing is kept secret with it


def released(reason: str) -> Outcome:
    return Released(reason)


def rested(reason: str) -> Outcome:
    return Rested(ROUTE, reason)


def failed(reason: str) -> Outcome:
    return Failed(reason, counted=True)


def retry(reason: str) -> Outcome:
    return Retry(reason)


Verdict: TypeAlias = "Callable[[str], Outcome]"
# The texts are those of nats-server 2.15.
VERDICTS: dict[Verdict, dict[int, str]] = {
    released: {
        10008: "JetStream system temporarily unavailable",
        10009: "JetStream cluster can not handle request",
        10063: "expected stream sequence does not match",
        10158: "duplicate message id is in process",
        10163: "expected last sequence per subject temporarily unavailable",
        10167: "too many requests",
        10176: "atomic publish batch is incomplete",
        10208: "batch publish ID unknown",
        10210: "atomic publish too many inflight",
        10211: "batch publish too many inflight",
    },
    rested: {
        10002: "resource limits exceeded for account",
        10023: "insufficient resources",
        10028: "insufficient memory resources available",
        10035: "account not found",
        10039: "JetStream not enabled for account",
        10047: "insufficient storage resources available",
        10053: "general stream limits exceeded",
        10059: "stream not found",
        10060: "expected stream does not match",
        10076: "JetStream not enabled",
        10077: "maximum bytes exceeded",
        10096: "stream not valid",
        10109: "invalid operation on sealed stream",
        10118: "stream is offline",
        10120: "no JetStream default or applicable tiered limit present",
        10122: "stream max bytes exceeds account limit max stream bytes",
        10169: "message counter increment is missing",
        10174: "atomic publish is disabled",
        10194: "stream is offline: needs a newer server",
        10205: "batch publish is disabled",
    },
    failed: {
        10054: "message size exceeds maximum allowed",
        10097: "header size exceeds maximum allowed of 64k",
    },
    # What only headers could bring about that the encoder never sends, and what nobody has heard of yet.
    retry: {
        10070: "wrong last msg ID: x",
        10071: "wrong last sequence: 7",
        10164: "wrong last sequence",
        10111: "rollup not permitted",
        10165: "invalid per-message TTL",
        10166: "per-message TTL is disabled",
        10168: "message counters is disabled",
        10188: "message schedules is disabled",
        10201: "atomic publish batch contains duplicate message id",
        10206: "batch publish pattern is invalid",
        19999: "something that this version has never heard of",
    },
}


@pytest.mark.parametrize(
    ("verdict", "code", "text"),
    [(verdict, code, text) for verdict, codes in VERDICTS.items() for code, text in codes.items()],
)
def test_refusal_is_judged_by_its_code(verdict: Verdict, code: int, text: str) -> None:
    assert judge(code, text, ROUTE) == verdict(f"{text} ({code})")


def test_refusal_without_a_code_is_counted() -> None:
    assert judge(0, "refused", ROUTE) == Retry("refused")
    assert judge(0, "refused", ROUTE, 400) == Retry("refused (400)")


@pytest.mark.parametrize("status", [429, 503])
def test_refusal_that_says_it_will_pass_is_never_counted(status: int) -> None:
    assert judge(19999, "come back", ROUTE, status) == Rested(ROUTE, "come back (19999)")
    assert judge(0, "come back", ROUTE, status) == Rested(ROUTE, f"come back ({status})")


def test_message_that_no_store_can_hold_fails_though_its_code_is_that_of_a_full_one() -> None:
    assert judge(10077, "message too large", ROUTE, 503) == Failed("message too large (10077)", counted=True)


def test_every_code_has_one_verdict() -> None:
    codes = [code for verdict in VERDICTS.values() for code in verdict]
    assert len(codes) == len(set(codes))


@given(
    attempt=st.integers(1, 100_000),
    base=st.floats(0.001, 3600),
    most=st.floats(0.001, 7 * 86400),
    seed=st.integers(),
)
def test_jitter_stays_between_nothing_and_the_doubled_base(
    attempt: int, base: float, most: float, seed: int
) -> None:
    wait = full_jitter(attempt, base, most, seeded(seed))
    assert 0.0 <= wait <= most
    if attempt < 30:
        assert wait <= base * 2 ** (attempt - 1)


@pytest.mark.parametrize(("attempt", "ceiling"), [(1, 1.0), (2, 2.0), (5, 16.0), (9, 256.0), (10, 300.0)])
def test_jitter_uses_the_whole_range(attempt: int, ceiling: float) -> None:
    random = seeded(7)
    waits = [full_jitter(attempt, 1.0, 300.0, random) for _ in range(2000)]
    assert min(waits) < 0.01 * ceiling
    assert 0.99 * ceiling < max(waits) <= ceiling
    assert abs(sum(waits) / len(waits) - ceiling / 2) < 0.05 * ceiling


def test_jitter_comes_from_the_randomness_that_is_given() -> None:
    assert full_jitter(3, 1.0, 300.0, seeded(1)) == full_jitter(3, 1.0, 300.0, seeded(1))


def test_backoff_doubles_up_to_its_longest_wait() -> None:
    backoff = Backoff(0.1, 0.5)
    assert [backoff.next() for _ in range(5)] == [0.1, 0.2, 0.4, 0.5, 0.5]


def test_backoff_starts_over_after_success() -> None:
    backoff = Backoff(0.1, 2.0)
    for _ in range(4):
        backoff.next()
    backoff.reset()
    assert backoff.next() == 0.1


@pytest.mark.parametrize(
    "answer",
    [
        ({"Status": "503"}, b""),
        (None, b"nonsense"),
        (None, b'{"stream": "OUTBOX", "seq": 0}'),
        (None, b'{"error": {"code": 503, "err_code": 10077, "description": "maximum bytes exceeded"}}'),
        (None, b'{"error": {"code": 503, "description": "not now"}}'),
    ],
)
def test_reason_of_a_resting_route_is_known_by_its_text(answer: tuple[dict[str, str] | None, bytes]) -> None:
    outcome = read_answer(*answer, "acme.stock.moved")
    assert isinstance(outcome, Rested)
    assert lets_route_rest(outcome.reason)


def test_reasons_for_which_no_route_rests_are_not_taken_for_one() -> None:
    for reason in (
        "requeued",
        "not today (19999)",
        "waits for event 7 of its aggregate",
        "the relay stopped",
        "duplicate message id is in process (10158)",
    ):
        assert not lets_route_rest(reason)
