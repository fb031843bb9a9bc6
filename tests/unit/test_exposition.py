"""What a scraper reads, and that the reference says the same."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from outbox_notify import __version__
from outbox_notify.observability import catalog
from outbox_notify.observability.exposition import Exposition
from outbox_notify.observability.tally import Tally

# A contract: dashboards and alerts of others name them.
PROMISED = {
    "build_info", "events_published_total", "events_failed_total", "events_retried_total",
    "events_duplicate_total", "publish_errors_total", "backlog_events",
    "oldest_pending_timestamp_seconds", "oldest_pending_age_seconds", "delivery_latency_seconds",
    "publish_duration_seconds", "db_operation_duration_seconds", "wakeups_total",
    "leases_expired_total", "leases_lost_total", "reconnects_total", "component_up",
    "route_resting", "paused", "pruned_events_total", "table_bytes", "last_ack_timestamp_seconds",
}  # fmt: skip
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def written(tally: Tally, accept: str = "") -> tuple[str, str]:
    text, content_type = Exposition(tally, lambda: None).written(accept)
    return text.decode(), content_type


def samples(tally: Tally) -> dict[str, dict[tuple[str, ...], float]]:
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(written(tally)[0]):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(value for _, value in sorted(sample.labels.items()))] = (
                sample.value
            )
    return found


def test_every_promised_name_is_there() -> None:
    text, _ = written(Tally())
    kinds = {line.split()[2]: line.split()[3] for line in text.splitlines() if line.startswith("# TYPE")}
    assert {f"outbox_notify_{name}" for name in PROMISED} <= kinds.keys()
    assert "process_resident_memory_bytes" in kinds


@pytest.mark.parametrize("metric", catalog.METRICS, ids=lambda metric: metric.name)
def test_names_and_units_follow_the_conventions(metric: catalog.Metric) -> None:
    assert (metric.kind == "counter") == metric.name.endswith("_total")
    assert metric.kind != "histogram" or metric.name.endswith("_seconds")
    assert metric.help.endswith(".")
    assert metric.bounds == tuple(sorted(metric.bounds))


def test_counters_stand_at_zero_before_anything_has_happened() -> None:
    found = samples(Tally())
    assert found["outbox_notify_events_published_total"] == {(): 0.0}
    assert found["outbox_notify_publish_errors_total"][("timeout",)] == 0.0
    assert found["outbox_notify_db_operation_duration_seconds_count"][("claim",)] == 0.0
    assert "outbox_notify_oldest_pending_timestamp_seconds" not in found


def test_numbers_come_out_as_they_went_in() -> None:
    tally = Tally()
    tally.add(catalog.PUBLISHED, by=3)
    tally.set(catalog.BACKLOG, 7, "pending")
    for seconds in (0.001, 0.002, 100.0):
        tally.observe(catalog.DB_DURATION, seconds, "claim")
    found = samples(tally)
    assert found["outbox_notify_events_published_total"] == {(): 3.0}
    assert found["outbox_notify_backlog_events"] == {("pending",): 7.0}
    buckets = found["outbox_notify_db_operation_duration_seconds_bucket"]
    claims = {bound: count for (bound, operation), count in buckets.items() if operation == "claim"}
    assert (claims["0.001"], claims["0.0025"], claims["10.0"], claims["+Inf"]) == (1, 2, 2, 3)
    assert found["outbox_notify_db_operation_duration_seconds_sum"][("claim",)] == pytest.approx(100.003)
    assert __version__ in found["outbox_notify_build_info"].popitem()[0]


def test_openmetrics_is_spoken_to_those_who_ask_for_it() -> None:
    plain, openmetrics = written(Tally()), written(Tally(), OPENMETRICS)
    assert (plain[1].split(";")[0], openmetrics[1].split(";")[0]) == (
        "text/plain",
        "application/openmetrics-text",
    )
    assert openmetrics[0].endswith("# EOF\n")


def test_what_is_only_worth_knowing_now_is_asked_for_at_each_writing() -> None:
    tally = Tally()
    exposition = Exposition(tally, lambda: tally.add(catalog.PRUNED))
    exposition.written("")
    assert "outbox_notify_pruned_events_total 2.0" in exposition.written("")[0].decode()
