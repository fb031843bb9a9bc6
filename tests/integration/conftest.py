"""What tests of events that go the whole way have in common."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from outbox_notify.testing import drain

if TYPE_CHECKING:
    from outbox_notify.embedded import EmbeddedNats
    from tests.support.arrivals import Drain


@pytest.fixture
def arrive(database: str, nats_server: EmbeddedNats) -> Drain:
    """Let a relay publish what is due, and return what that brought to the stream."""
    return partial(drain, database, nats_server.url)
