"""Streams that acknowledge and do not keep: an ack is all that a relay can go by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.command import run
from tests.support.outbox import fill, outbox_table
from tests.support.stream import create_stream, stored

if TYPE_CHECKING:
    from outbox_notify.embedded import EmbeddedNats

FORGETFUL: dict[str, tuple[dict[str, Any], int]] = {
    "interest without a consumer": ({"retention": "interest"}, 0),
    "discard old": ({"max_msgs": 7, "discard": "old"}, 7),
    "one message a subject": ({"max_msgs_per_subject": 1}, 1),
}


@pytest.mark.parametrize("kind", FORGETFUL)
def test_streams_that_ack_and_do_not_keep_are_believed(
    database: str, nats_server: EmbeddedNats, kind: str
) -> None:
    config, kept = FORGETFUL[kind]
    create_stream(nats_server.url, "events.>", **config)
    with outbox_table(database) as table:
        fill(table.conn, 20)
        done = run(
            "relay",
            "--drain",
            OUTBOX_DATABASE_URL=database,
            OUTBOX_NATS_URL=nats_server.url,
            OUTBOX_HTTP="off",
        )
        assert done.returncode == 0, done.stderr
        assert table.count() == {"published": 20}
    assert stored(nats_server.url) == kept
