from __future__ import annotations

import pytest

from outbox_notify.errors import InvalidEvent
from outbox_notify.operations.pause import Target


def test_target_follows_the_rules_of_the_table() -> None:
    for tenant_id, event_type in ((None, None), ("a.b", None), ("", None), (None, "a..b"), ("acme", "")):
        with pytest.raises(InvalidEvent):
            Target(tenant_id, event_type)
