"""The dashboard and the alerts ask only for what a relay shows."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.promql import named, problems, series

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "rules.yml"
RULE_TESTS = DEPLOY / "prometheus" / "rules.test.yml"
DASHBOARD = DEPLOY / "grafana" / "outbox-notify.json"
GUIDE = DEPLOY.parent / "docs" / "how-to" / "monitoring.md"


def alerts() -> dict[str, Any]:
    document = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    rules = [rule for group in document["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    return {rule["alert"]: rule for rule in rules}


def dashboard() -> Any:
    return json.loads(DASHBOARD.read_text(encoding="utf-8"))


def panels() -> list[Any]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


@pytest.mark.parametrize("alert", alerts())
def test_an_alert_asks_for_metrics_that_there_are(alert: str) -> None:
    expression = alerts()[alert]["expr"]
    assert named(expression)
    assert problems(expression) == []


@pytest.mark.parametrize("alert", alerts())
def test_an_alert_is_tested_explained_and_graded(alert: str) -> None:
    tests = yaml.safe_load(RULE_TESTS.read_text(encoding="utf-8"))["tests"]
    checks = [check for test in tests for check in test["alert_rule_test"] if check["alertname"] == alert]
    assert any(check["exp_alerts"] for check in checks)
    assert not all(check["exp_alerts"] for check in checks)
    assert alerts()[alert]["labels"]["severity"] in {"warning", "critical"}
    assert alerts()[alert]["annotations"].keys() == {"summary", "description"}
    assert f"| `{alert}` |" in GUIDE.read_text(encoding="utf-8")


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_a_panel_asks_for_metrics_that_there_are(panel: Any) -> None:
    assert panel["targets"]
    for target in panel["targets"]:
        assert any(name in series() for name in named(target["expr"])) or "process_" in target["expr"]
        assert problems(target["expr"]) == []


def test_the_dashboard_has_every_room_of_the_house_and_no_data_source_of_its_own() -> None:
    shown = dashboard()
    rows = [panel["title"] for panel in shown["panels"] if panel["type"] == "row"]
    assert rows == ["Traffic", "Latency", "Backlog", "Errors", "Database", "NATS and process"]
    assert len(panels()) >= 12
    assert {panel["datasource"]["uid"] for panel in panels()} == {"${datasource}"}
    assert [variable["name"] for variable in shown["templating"]["list"]] == ["datasource", "job", "instance"]
    assert len({panel["id"] for panel in shown["panels"]}) == len(shown["panels"])


def test_panels_do_not_lie_on_top_of_each_other() -> None:
    places = sorted((p["gridPos"] for p in dashboard()["panels"]), key=lambda place: (place["y"], place["x"]))
    for place, following in pairwise(places):
        assert place["x"] + place["w"] <= 24
        below = following["y"] >= place["y"] + place["h"]
        assert below or following["x"] >= place["x"] + place["w"]


def test_the_dashboard_shows_every_metric() -> None:
    expressions = [target["expr"] for panel in panels() for target in panel["targets"]]
    asked = {series()[name] for text in expressions for name in named(text) if name in series()}
    # The age says the same as a timestamp; when the table was looked at is for the alert.
    left_out = {"oldest_pending_timestamp_seconds", "backlog_timestamp_seconds"}
    assert {metric.name for metric in set(series().values()) - asked} == left_out


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("outbox_notify_events_lost_total > 0", "outbox_notify_events_lost_total is no metric"),
        ('outbox_notify_component_up{part="nats"}', "outbox_notify_component_up has no part"),
        (
            'outbox_notify_component_up{component="kafka"}',
            "outbox_notify_component_up has no component kafka",
        ),
        ("sum by (tenant) (outbox_notify_paused)", "nothing has a label tenant"),
        ("outbox_notify_delivery_latency_seconds > 1", "outbox_notify_delivery_latency_seconds is no metric"),
        ("process_start_time_seconds", "process_start_time_seconds is no metric"),
    ],
)
def test_what_there_is_not_would_be_found(expression: str, problem: str) -> None:
    assert problems(expression) == [problem]
