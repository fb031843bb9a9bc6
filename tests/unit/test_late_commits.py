"""Ids that were drawn early and commit late: where the next claim has to start for none to be passed."""

from __future__ import annotations

from outbox_notify.relay.late_commits import LateCommits, Transactions


def test_without_others_a_claim_starts_where_the_last_one_ended() -> None:
    late = LateCommits()
    late.passed(Transactions([], horizon=10, own=10), next_id=100)
    assert (late.running, late.unlisted_from) == ({}, None)


def test_a_transaction_that_began_after_a_claim_draws_above_what_that_claim_saw() -> None:
    late = LateCommits()
    late.passed(Transactions([], horizon=10, own=10), next_id=100)
    late.passed(Transactions([12], horizon=13, own=13), next_id=200)
    assert late.running == {12: 100}


def test_a_transaction_that_no_snapshot_lists_may_have_begun_before_the_last_claim() -> None:
    late = LateCommits()
    late.passed(Transactions([], horizon=10, own=10), next_id=100)
    # 14 and 15 ran, but above the horizon a snapshot does not tell; both may end before the next claim.
    late.passed(Transactions([], horizon=14, own=16), next_id=200)
    assert late.unlisted_from == 100
    late.passed(Transactions([14, 17], horizon=18, own=18), next_id=300)
    assert late.running == {14: 100, 17: 200}


def test_what_a_running_transaction_may_have_drawn_is_kept_until_it_ends() -> None:
    late = LateCommits()
    late.passed(Transactions([], horizon=10, own=10), next_id=100)
    for step in range(1, 50):
        late.passed(Transactions([12], horizon=13 + step, own=13 + step), next_id=100 + step * 100)
    assert late.running == {12: 100}
    late.passed(Transactions([], horizon=90, own=90), next_id=9000)
    assert late.running == {}


def test_who_ran_before_the_first_claim_may_have_drawn_anything() -> None:
    late = LateCommits()
    late.passed(Transactions([7], horizon=8, own=9), next_id=100)
    assert (late.running, late.unlisted_from) == ({7: 0}, 0)


def test_a_look_back_does_not_lower_what_later_transactions_may_have_drawn() -> None:
    late = LateCommits()
    late.passed(Transactions([], horizon=10, own=10), next_id=500)
    late.passed(Transactions([], horizon=11, own=11), next_id=50)
    late.passed(Transactions([12], horizon=13, own=13), next_id=600)
    assert late.running == {12: 500}
