"""Assertions about events, on the connection of every library that services write with."""

from __future__ import annotations

from functools import partial
from typing import Any

import psycopg
import pytest
from django.db import connections

from outbox_notify import Event
from outbox_notify.testing import assert_emitted, assert_emitted_async, emitted, emitted_async
from outbox_notify.testing.apart import run_apart
from tests.support.libraries import LIBRARIES, Asynchronous, Django, Library, using

RECEIVED = Event("acme", "goods.received", {"n": 1}, aggregate_type="article", aggregate_id="Ä 1")


def connection_of(library: Library) -> Any:
    return connections[library.alias] if isinstance(library, Django) else library.link


@pytest.mark.parametrize("kind", LIBRARIES, ids=lambda kind: kind.__name__)
def test_each_library_is_asked_in_its_own_transaction_by_its_own_function(
    kind: type[Library], database: str
) -> None:
    with using(kind, database) as library, library.transaction():
        [event_id] = library.emit(RECEIVED)

        link = connection_of(library)
        if isinstance(library, Asynchronous):
            event = library.portal.call(assert_emitted_async, link, "goods.received")
            wrong = partial(emitted, link)
        else:
            event = assert_emitted(link, "goods.received")
            wrong = partial(run_apart, emitted_async, link)
        assert (event.event_id, event.aggregate, event.payload) == (event_id, ("article", "Ä 1"), {"n": 1})
        with pytest.raises(TypeError, match="expected psycopg's"):
            wrong()
        with psycopg.connect(database) as other:
            assert emitted(other) == []
