"""Whose fault a refusal is, and how long to wait before trying again."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox_notify.relay.outcomes import Failed, Outcome, Released, Rested, Retry
from outbox_notify.relay.retry import Backoff, full_jitter, judge

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
VERDICTS: dict[Verdict, dict[int, str]] = {
    released: {
        10008: "JetStream system temporarily unavailable",
        10009: "no suitable peers for placement",
        10012: "server is not a leader",
        10158: "a message with this id is being stored just now",
    },
    rested: {
        10023: "insufficient resources",
        10028: "maximum storage exceeded",
        10035: "account not enabled for JetStream",
        10039: "JetStream not enabled for account",
        10047: "insufficient storage resources",
        10059: "stream not found",
        10060: "expected stream does not match",
        10076: "JetStream not enabled",
        10077: "maximum messages exceeded",
        10109: "invalid operation on sealed stream",
        10110: "stream purge not permitted",
        10122: "storage threshold reached",
    },
    failed: {
        10054: "message size exceeds maximum allowed",
        10097: "header size exceeds maximum allowed of 64k",
    },
    retry: {
        10201: "atomic publish contains duplicate message id",
        10205: "batch publish not enabled on stream",
        10208: "batch publish ID unknown",
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
