"""The ids that the writer makes."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from uuid import RFC_4122

from outbox_notify.writers.ids import new_event_id


def test_event_id_is_a_uuid_of_version_7() -> None:
    made = [new_event_id() for _ in range(1000)]

    assert {(event_id.version, event_id.variant) for event_id in made} == {(7, RFC_4122)}


def test_event_id_begins_with_the_time_in_milliseconds() -> None:
    before = time.time_ns() // 1_000_000
    made = new_event_id()

    # Earlier ids of this process may have run ahead of the clock, by 1/4096 of a millisecond each.
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000 + 1000


def test_event_ids_of_a_thread_are_in_order() -> None:
    made = [new_event_id() for _ in range(20_000)]

    assert made == sorted(made)


def test_no_two_threads_make_the_same_event_id() -> None:
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: new_event_id(), range(20_000)))

    assert len({event_id.int >> 62 for event_id in made}) == len(made)
