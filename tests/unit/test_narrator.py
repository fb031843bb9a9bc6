"""What the relay's log says, how loud, and how often."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from structlog.testing import CapturingLogger

import outbox_notify
from outbox_notify.errors import InvalidEvent
from outbox_notify.jetstream.messages import Encoder
from outbox_notify.observability.lines import LINES
from outbox_notify.observability.narrator import LEVELS, Narrator
from outbox_notify.observability.reports import UNSPOKEN
from outbox_notify.relay.claims import ClaimedEvent
from outbox_notify.relay.outcomes import Failed, Outcome, Published, Released, Rested, Retry

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "s3cret-of-the-customer"  # noqa: S105  # what must not be logged
EVERY_OUTCOME: list[Outcome] = [
    Published("OUTBOX", 1),
    Retry("no"),
    Released("away"),
    Rested("a.b", "full"),
    Failed("never"),
]


class Log:
    """A narrator whose lines are kept, and whose clock stands still until it is moved."""

    def __init__(self) -> None:
        self._kept = CapturingLogger()
        self.now = 0.0
        self.tell = Narrator(structlog.wrap_logger(self._kept, processors=[]), clock=lambda: self.now)

    @property
    def lines(self) -> list[tuple[str, dict[str, Any]]]:
        """Level and content of each line."""
        return [(call.method_name, dict(call.kwargs)) for call in self._kept.calls]

    def settle(self, *outcomes: Outcome, overtaken: int = 0, start: int = 1) -> None:
        events = {claimed(start + place): outcome for place, outcome in enumerate(outcomes)}
        self.tell("batch.settled", outcomes=events, overtaken=overtaken)


def claimed(number: int, **changes: Any) -> ClaimedEvent:
    columns = {
        "id": number, "event_id": f"id-{number}", "tenant_id": "acme", "event_type": "stock.moved",
        "aggregate_type": "item", "aggregate_id": SECRET, "content_type": "application/json",
        "headers": json.dumps({"token": SECRET}), "created_at": "2026-01-01T00:00:00.000000Z", "ordering_key": 1,
        "attempts": 2, "body": SECRET.encode(), **changes,
    }  # fmt: skip
    return ClaimedEvent(**columns)


@pytest.fixture
def log() -> Log:
    return Log()


def reports() -> Iterator[tuple[str, set[str]]]:
    """Every name that the package reports, with the facts that go with it, read from its source."""
    for path in Path(outbox_notify.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and node.args
                and _name(node.func) in {"report", "_report", "_line"}
            ):
                facts = {keyword.arg for keyword in node.keywords if keyword.arg is not None}
                for part in ast.walk(node.args[0]):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        yield part.value, facts


def _name(function: ast.expr) -> str:
    return str(getattr(function, "attr", None) or getattr(function, "id", ""))


def test_every_name_that_is_reported_has_its_level_and_no_other_has() -> None:
    assert {name for name, _ in reports()} - {"batch.settled"} - UNSPOKEN == set(LEVELS)


def test_reference_names_every_fact_that_a_line_holds() -> None:
    told = [(name, facts) for name, facts in reports() if name in LINES]
    unnamed = {name: facts - set(re.findall(r"\w+", LINES[name].fields)) for name, facts in told}
    assert not {name: facts for name, facts in unnamed.items() if facts}


@pytest.mark.parametrize(("name", "level"), LEVELS.items())
def test_line_has_the_level_of_its_name(log: Log, name: str, level: str) -> None:
    log.tell(name, component="nats")
    assert log.lines == [(level, {"event": name, "component": "nats"})]


def test_what_costs_an_operator_sleep_is_an_error_and_what_passes_by_itself_is_not() -> None:
    assert {name for name, level in LEVELS.items() if level == "error"} == {"event.failed"}
    assert LEVELS["outage.started"] == LEVELS["route.resting"] == LEVELS["publish.retry"] == "warning"


def test_settled_batch_says_how_many_were_published(log: Log) -> None:
    log.settle(Published("OUTBOX", 1), Published("OUTBOX", 2))
    assert log.lines == [("debug", {"event": "batch.published", "events": 2})]


def test_events_that_the_stream_held_already_are_counted_and_said_aloud(log: Log) -> None:
    log.settle(
        Published("OUTBOX", 1, duplicate=True), Published("OUTBOX", 2), Published("OUTBOX", 1, duplicate=True)
    )
    assert ("debug", {"event": "batch.published", "events": 3}) in log.lines
    assert ("info", {"event": "publish.duplicate", "events": 2}) in log.lines


def test_events_that_were_given_back_are_one_line_with_the_most_common_reason(log: Log) -> None:
    log.settle(Released("away"), Rested("a.b", "full"), Rested("a.b", "full"))
    assert log.lines == [("info", {"event": "events.released", "events": 3, "reason": "full"})]


def test_refused_events_are_named_one_by_one(log: Log) -> None:
    log.settle(Retry("no"), Failed("never"))
    about = {"tenant_id": "acme"}
    assert log.lines == [
        ("warning", {"event": "publish.retry", "id": 1, "event_id": "id-1", **about, "attempt": 3, "reason": "no"}),
        ("error", {"event": "event.failed", "id": 2, "event_id": "id-2", **about, "reason": "never"}),
    ]  # fmt: skip


def test_events_that_another_relay_took_over_are_counted(log: Log) -> None:
    log.settle(Published("OUTBOX", 1), overtaken=1)
    assert ("warning", {"event": "lease.lost", "events": 1}) in log.lines


def test_outcomes_that_were_not_written_are_not_told(log: Log) -> None:
    log.settle(Failed("never"), Retry("no"), Released("away"), overtaken=3)
    assert log.lines == [("warning", {"event": "lease.lost", "events": 3})]


def test_the_same_reason_again_within_ten_seconds_is_counted_and_not_written(log: Log) -> None:
    for log.now in (0.0, 1.0, 5.0, 9.9):
        log.tell("outage.started", component="nats", reason="refused")
    assert len(log.lines) == 1
    log.now = 10.0
    log.tell("outage.started", component="nats", reason="refused")
    assert log.lines[1] == (
        "warning", {"event": "outage.started", "component": "nats", "reason": "refused", "repeated": 3}
    )  # fmt: skip


def test_another_reason_or_another_name_is_written_at_once(log: Log) -> None:
    log.tell("outage.started", reason="refused")
    log.tell("outage.started", reason="no answer")
    log.tell("sweep.postponed", reason="refused")
    assert len(log.lines) == 3


def test_repeats_are_not_forgotten_over_lines_that_come_between(log: Log) -> None:
    for _ in range(4):
        log.tell("outage.started", reason="refused")
    log.now = 10.5
    log.tell("sweep.postponed", reason="away")
    log.tell("outage.started", reason="refused")
    assert log.lines[-1][1]["repeated"] == 3


def test_lines_without_a_reason_are_never_folded(log: Log) -> None:
    for _ in range(3):
        log.tell("lease.lost", events=1)
    assert len(log.lines) == 3


def test_two_failed_events_are_two_lines_even_for_the_same_reason(log: Log) -> None:
    log.settle(Failed("never"), Failed("never"))
    assert [line["id"] for _, line in log.lines] == [1, 2]


def test_first_line_is_written_also_right_after_the_machine_has_started(log: Log) -> None:
    log.now = 0.1
    log.tell("outage.started", reason="refused")
    assert len(log.lines) == 1


def test_memory_of_what_was_written_does_not_grow_without_end(log: Log) -> None:
    for number in range(3000):
        log.now += 1.0
        log.tell("outage.started", reason=f"reason {number}")
    assert len(log.tell._folded) < 100


def test_no_line_holds_a_payload_a_header_or_an_aggregate(log: Log) -> None:
    log.settle(*EVERY_OUTCOME, overtaken=2)
    assert SECRET not in str(log.lines)


@pytest.mark.parametrize(
    "columns",
    [
        {"headers": json.dumps({"token": SECRET + "\n"})},
        {"headers": json.dumps({"token": [SECRET]})},
        {"headers": json.dumps(SECRET)},
        {"body": SECRET.encode() * 100_000},
    ],
)
def test_reason_of_what_cannot_be_sent_holds_none_either(log: Log, columns: dict[str, Any]) -> None:
    with pytest.raises(InvalidEvent) as refused:
        Encoder("events", "shop").encode(claimed(1, **columns), 1_000_000)
    log.settle(Failed(str(refused.value)))
    ((level, line),) = log.lines
    assert (level, SECRET in str(line)) == ("error", False)
