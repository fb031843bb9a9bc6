"""Rules, dashboard and metrics, judged by Prometheus' own tool."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from outbox_notify.observability.exposition import Exposition
from outbox_notify.observability.tally import Tally

pytestmark = pytest.mark.system

DEPLOY = Path(__file__).parents[2] / "deploy"


def promtool(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["promtool", *arguments],
        cwd=DEPLOY / "prometheus",
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )


def test_prometheus_takes_the_rules() -> None:
    done = promtool("check", "rules", "--lint-fatal", "rules.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_fire_when_they_should_and_are_silent_otherwise() -> None:
    done = promtool("test", "rules", "rules.test.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_understands_every_query_of_the_dashboard(tmp_path: Path) -> None:
    panels = json.loads((DEPLOY / "grafana" / "outbox-notify.json").read_text(encoding="utf-8"))["panels"]
    asked = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    queries = [text.replace("$__rate_interval", "1m").replace("$job", ".+") for text in asked]
    rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(queries)]
    path = tmp_path / "dashboard.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8")
    done = promtool("check", "rules", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout


def test_prometheus_finds_nothing_to_say_about_the_metrics() -> None:
    shown, _ = Exposition(Tally(), lambda: None).written("text/plain")
    done = promtool("check", "metrics", given=shown.decode())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
