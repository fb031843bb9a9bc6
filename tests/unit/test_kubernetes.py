"""The manifests, as far as they can be wrong without a cluster: ports, probes, names, settings, rights."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from outbox_notify import __version__
from outbox_notify.cli import VERBS
from outbox_notify.config.load import load_settings
from outbox_notify.config.settings import Settings, declarations

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
VARIABLES = {item.variable: item for item in declarations().values()}


def manifests() -> dict[tuple[str, str], Any]:
    """Return every object by kind and name."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.yaml"))]
    documents = [document for text in texts for document in yaml.safe_load_all(text)]
    return {(document["kind"], document["metadata"]["name"]): document for document in documents}


RELAY = manifests()["Deployment", "outbox-notify"]
MIGRATE = manifests()["Job", "outbox-notify-migrate"]
BOTH = [pytest.param(RELAY, id="relay"), pytest.param(MIGRATE, id="migrate")]


def pod_of(workload: Any) -> Any:
    return workload["spec"]["template"]["spec"]


def container_of(workload: Any) -> Any:
    [container] = pod_of(workload)["containers"]
    return container


def environment_of(workload: Any) -> dict[str, str]:
    """Return what the container's environment would be, config maps included."""
    container = container_of(workload)
    maps = [
        manifests()["ConfigMap", source["configMapRef"]["name"]] for source in container.get("envFrom", [])
    ]
    taken = {name: value for each in maps for name, value in each["data"].items()}
    return taken | {row["name"]: row["value"] for row in container["env"]}


def loaded(tmp_path: Path, workload: Any) -> Settings:
    """Return the settings of a workload, its secrets put where they would be mounted."""
    environ = environment_of(workload)
    for volume in pod_of(workload)["volumes"]:
        for name, text in manifests()["Secret", volume["secret"]["secretName"]]["stringData"].items():
            (tmp_path / name).write_text(text, encoding="utf-8")
    [mount] = container_of(workload)["volumeMounts"]
    moved = {name: text.replace(mount["mountPath"], str(tmp_path)) for name, text in environ.items()}
    found = load_settings({}, environ=moved)
    assert found.warnings == []
    return found.settings


@pytest.mark.parametrize("workload", BOTH)
def test_the_settings_are_settings_and_the_secrets_are_where_they_are_sought(
    tmp_path: Path, workload: Any
) -> None:
    assert loaded(tmp_path, workload).database_url


def test_the_owner_migrates_and_the_relay_is_somebody_else(tmp_path: Path) -> None:
    assert loaded(tmp_path, RELAY).database_url != loaded(tmp_path, MIGRATE).database_url


def test_secrets_are_files_and_no_variables() -> None:
    for workload in (RELAY, MIGRATE):
        assert not [name for name in environment_of(workload) if name == "OUTBOX_DATABASE_URL"]
        assert not [row for row in container_of(workload)["env"] if "valueFrom" in row]
    shown = manifests()["ConfigMap", "outbox-notify"]["data"]
    assert all(VARIABLES[name].shown != "never" for name in shown)
    assert not any("@" in value for value in shown.values())


def test_the_variables_in_comments_are_settings_too() -> None:
    text = (FOLDER / "relay.yaml").read_text(encoding="utf-8")
    names = re.findall(r"# - \{name: (\w+), value: ([^}]+)\}", text)
    assert names
    for name, path in names:
        declaration = VARIABLES[name.removesuffix("_FILE")]
        assert declaration.secret if name.endswith("_FILE") else declaration.path
        assert PurePosixPath(path).name == declaration.name


def test_probes_and_prometheus_ask_where_the_relay_listens(tmp_path: Path) -> None:
    container = container_of(RELAY)
    [port] = container["ports"]
    assert loaded(tmp_path, RELAY).http == f"0.0.0.0:{port['containerPort']}"
    asked = {name: container[name]["httpGet"] for name in container if name.endswith("Probe")}
    assert {name: probe["path"] for name, probe in asked.items()} == {
        "startupProbe": "/livez",
        "livenessProbe": "/livez",
        "readinessProbe": "/readyz",
    }
    assert {probe["port"] for probe in asked.values()} == {port["name"]}
    [endpoint] = manifests()["PodMonitor", "outbox-notify"]["spec"]["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"]) == (port["name"], "/metrics")


def test_everything_means_the_pods_of_the_relay_and_no_others() -> None:
    labels = RELAY["spec"]["template"]["metadata"]["labels"]
    budget = manifests()["PodDisruptionBudget", "outbox-notify"]["spec"]
    monitor = manifests()["PodMonitor", "outbox-notify"]["spec"]
    [spread] = pod_of(RELAY)["topologySpreadConstraints"]
    for selector in (
        RELAY["spec"]["selector"],
        budget["selector"],
        monitor["selector"],
        spread["labelSelector"],
    ):
        assert selector["matchLabels"] == labels
    assert MIGRATE["spec"]["template"]["metadata"]["labels"] != labels
    assert 0 < budget["minAvailable"] < RELAY["spec"]["replicas"] == 2


def test_a_pod_may_take_longer_to_end_than_the_relay(tmp_path: Path) -> None:
    assert pod_of(RELAY)["terminationGracePeriodSeconds"] > loaded(tmp_path, RELAY).shutdown_timeout


@pytest.mark.parametrize("workload", BOTH)
def test_pods_have_no_rights_and_bounds(workload: Any) -> None:
    pod, container = pod_of(workload), container_of(workload)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is pod["enableServiceLinks"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}
    assert "memory" in container["resources"]["limits"]
    [volume] = pod["volumes"]
    assert volume["secret"]["defaultMode"] == 0o440


@pytest.mark.parametrize("workload", BOTH)
def test_the_image_is_this_version_and_runs_a_verb(workload: Any) -> None:
    container = container_of(workload)
    assert container["image"].rpartition(":")[2] == __version__
    assert container["args"] == [container["name"]]
    assert container["name"] in VERBS
