from __future__ import annotations

import pytest
from click.testing import CliRunner

from outbox_notify.cli import cli
from outbox_notify.errors import InvalidEvent
from outbox_notify.operations.pause import Target


def test_target_follows_the_rules_of_the_table() -> None:
    for tenant_id, event_type in ((None, None), ("a.b", None), ("", None), (None, "a..b"), ("acme", "")):
        with pytest.raises(InvalidEvent):
            Target(tenant_id, event_type)


@pytest.mark.parametrize(
    "arguments",
    [
        ["pause", "--reason", "x"],
        ["pause", "--tenant", "a.b"],
        ["pause", "--tenant", "a", "--for", "1h", "--until", "2100-01-01T00:00:00Z"],
        ["pause", "--tenant", "a", "--until", "noon"],
        ["resume"],
        ["resume", "--all", "--tenant", "acme"],
    ],
    ids=" ".join,
)
def test_pause_that_cannot_be_meant_is_a_mistake_of_usage(arguments: list[str]) -> None:
    assert CliRunner().invoke(cli, arguments).exit_code == 2
