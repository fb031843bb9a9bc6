"""Batches of JetStream's fast ingest: what counts as stored, and what becomes of the rest."""

from __future__ import annotations

import itertools
import json
import re
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import anyio
import pytest

from outbox_notify.jetstream import fast_ingest as module
from outbox_notify.jetstream.frames import Loader
from outbox_notify.jetstream.messages import Encoder
from outbox_notify.jetstream.sending import NOT_CONNECTED, Sending
from outbox_notify.relay.lanes import Lanes
from outbox_notify.relay.leases import lease_clock
from outbox_notify.relay.outcomes import Outcome, Published, Released, Rested
from tests.support.fakes import ACKED, batch_of, event, until
from tests.support.publishing import ticket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from outbox_notify.jetstream.session import Session
    from outbox_notify.relay.batches import Ticket

pytestmark = pytest.mark.anyio

STORED = Published("OUTBOX")
# Of batches that the server would not begin, or not end.
UNKNOWN, DISABLED = 10208, 10205
_INBOX = "inbox."
_FRAME = re.compile(rb"HPUB (\S+) inbox\.(\S+) \d+ \d+\r\n")


class Wire:
    """A client that writes to nobody.

    Args:
        replies: of each frame that was written, without the inbox.
        on_write: called with how many frames were written so far.
    """

    alive, max_payload = True, 1_000_000

    def __init__(self) -> None:
        self.replies: list[str] = []
        self.on_write: Callable[[int], None] = lambda _count: None
        self._pending, self._pending_data_size, self._transport = [b""], 0, self

    def write(self, data: bytes) -> None:
        self.replies += [reply.decode() for _, reply in _FRAME.findall(data)]
        self.on_write(len(self.replies))

    async def drain(self) -> None:
        await anyio.lowlevel.checkpoint()


class Rig:
    """A sender on a wire; the test is the server."""

    def __init__(self, *, offered: bool = True) -> None:
        self.wire = Wire()
        self.outcomes: dict[Ticket, Outcome] = {}
        self.on_outcome: Callable[[Ticket, Outcome], None] = lambda _ticket, _outcome: None
        session = SimpleNamespace(client=self.wire, inbox=_INBOX, streams={"OUTBOX"})
        self.streams = session.streams
        loader = Loader(Encoder("events", "us"), self._note)
        self.sending = Sending(cast("Session", session), loader, self._note)
        self.answer("stream", config={"allow_batched": offered})

    @asynccontextmanager
    async def sends(self, *tickets: Ticket) -> AsyncIterator[None]:
        """Send events; they are on the wire, and at the end of the context all is done."""
        before = len(self.wire.replies)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.sending.send, tickets)
            await until(lambda: len(self.wire.replies) > before)
            yield

    def answer(self, about: str, text: str = "", **answer: Any) -> Ticket | None:
        """Answer to a reply subject, without the inbox."""
        msg = SimpleNamespace(subject=_INBOX + about, data=(text or json.dumps(answer)).encode())
        return self.sending.hear(cast("Any", msg))

    def ends(self, count: object, **other: Any) -> None:
        """Answer with the last ack of the batch that was begun last."""
        start = self.starts[-1]
        ack = {"stream": "OUTBOX", "seq": 99, "batch": start.partition(".")[0], "count": count, **other}
        self.answer(start, **ack)

    @property
    def starts(self) -> list[str]:
        """Reply subjects of the first events of batches."""
        return [reply for reply in self.wire.replies if reply.endswith(".fail.1.0.$FI")]

    @property
    def one_by_one(self) -> list[str]:
        """Numbers of the events that were sent one by one."""
        return [reply for reply in self.wire.replies if reply.isdecimal()]

    def _note(self, sent: Ticket, outcome: Outcome) -> None:
        self.outcomes[sent] = outcome
        sent.outcome = outcome
        self.on_outcome(sent, outcome)


def twenty(**columns: Any) -> list[Ticket]:
    return [ticket(**columns) for _ in range(20)]


async def test_last_ack_stands_for_all() -> None:
    rig, sent = Rig(), twenty()
    async with rig.sends(*sent):
        rig.ends(20)
    assert rig.outcomes == dict.fromkeys(sent, STORED)
    places = [reply.partition(".fail.")[2] for reply in rig.wire.replies]
    assert places == ["1.0.$FI", *(f"{place}.1.$FI" for place in range(2, 20)), "20.2.$FI"]


async def test_what_the_last_ack_does_not_count_is_sent_one_by_one() -> None:
    rig, sent = Rig(), twenty()
    async with rig.sends(*sent):
        rig.ends(15)
    assert rig.outcomes == dict.fromkeys(sent[:15], STORED)
    assert len(rig.one_by_one) == 5


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": 21}, {"count": -1}, {"count": True}, {"count": 2.5}, {"count": "20"}, {"count": None},
        {"stream": "OTHER"}, {"stream": ["OUTBOX"]}, {"stream": None},
        {"seq": 0}, {"seq": -1}, {"seq": True}, {"seq": "1"}, {"seq": float("inf")},
        {"batch": "another"}, {"batch": None},
    ],
    ids=str,
)  # fmt: skip
async def test_wrong_ack_stores_nothing(wrong: dict[str, Any]) -> None:
    rig, sent = Rig(), twenty()
    async with rig.sends(*sent):
        rig.ends(**{"count": 20, **wrong})
    assert rig.outcomes == {}
    assert len(rig.one_by_one) == 20


@pytest.mark.parametrize("noise", ["+OK", "[]", "null", "{}", '{"error": "no"}', "\0", "[" * 100_000])
async def test_noise_stores_nothing(noise: str) -> None:
    rig, sent = Rig(), twenty()
    async with rig.sends(*sent):
        rig.answer(rig.starts[0], noise)
    assert rig.outcomes == {}
    assert len(rig.one_by_one) == 20


async def test_progress_is_not_the_end() -> None:
    rig, sent = Rig(), twenty()
    async with rig.sends(*sent):
        start = rig.starts[0]
        rig.answer(start, type="ack", seq=20, msgs=500)
        rig.answer(start, type="gap", last_seq=5, seq=6)
        rig.answer(start, type="err", seq=6, error={"err_code": 10077})
        await anyio.sleep(0.01)
        assert rig.outcomes == {}
        rig.ends(5)
    assert rig.outcomes == dict.fromkeys(sent[:5], STORED)


async def test_late_ack_of_an_earlier_batch_is_not_heard() -> None:
    rig, first, second = Rig(), twenty(), twenty()
    async with rig.sends(*first):
        rig.ends(1)
    async with rig.sends(*second):
        early, late = rig.starts
        rig.answer(late, stream="OUTBOX", seq=99, batch=early.partition(".")[0], count=20)
        rig.answer(early, stream="OUTBOX", seq=99, batch=early.partition(".")[0], count=20)
        rig.answer(early, "noise")
    assert set(rig.outcomes) == {first[0]}


async def test_stream_that_takes_no_batches_is_given_no_other() -> None:
    rig, first, second = Rig(), twenty(), twenty()
    async with rig.sends(*first):
        rig.answer(rig.starts[0], error={"err_code": DISABLED})
    async with rig.sends(*second):
        pass
    assert (len(rig.starts), len(rig.one_by_one)) == (1, 40)


async def test_server_that_acknowledges_each_is_given_no_other_batch() -> None:
    rig, first, second = Rig(), twenty(), twenty()
    async with rig.sends(*first):
        rig.answer(rig.starts[0], stream="OUTBOX", seq=99)
    async with rig.sends(*second):
        pass
    assert rig.outcomes == {}
    assert (len(rig.starts), len(rig.one_by_one)) == (1, 40)


@pytest.mark.parametrize("refused", [True, False])
async def test_batch_without_an_end_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, *, refused: bool
) -> None:
    monkeypatch.setattr(module, "_GRACE", 0.05 if refused else 60)
    monkeypatch.setattr(module, "_PATIENCE", 60 if refused else 0.05)
    rig, sent = Rig(), twenty()
    with anyio.fail_after(5):
        async with rig.sends(*sent):
            if refused:
                rig.answer(rig.starts[0], error={"err_code": UNKNOWN})
    assert rig.outcomes == {}
    assert len(rig.one_by_one) == 20


async def test_end_comes_after_a_refusal() -> None:
    rig, sent = Rig(), twenty()
    async with rig.sends(*sent):
        rig.answer(rig.starts[0], error={"err_code": 10054})
        rig.ends(19)
    assert rig.outcomes == dict.fromkeys(sent[:19], STORED)


async def test_refused_route_is_a_reason_to_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_GRACE", 0.05)
    rig, sent = Rig(), twenty()
    async with rig.sends(*sent):
        assert rig.sending.refused(lambda route: route == "acme.stock.moved") == set()
    assert len(rig.one_by_one) == 20
    assert rig.sending.refused(lambda route: route == "acme.stock.moved") == set(sent)


async def test_few_and_what_was_tried_before_go_one_by_one() -> None:
    rig = Rig()
    async with rig.sends(*twenty()[:15], *twenty(tried=True)):
        pass
    assert (len(rig.starts), len(rig.one_by_one)) == (0, 35)


@pytest.mark.parametrize("why", ["not offered", "two streams"])
async def test_without_one_stream_that_takes_batches_all_go_one_by_one(why: str) -> None:
    rig = Rig(offered=why != "not offered")
    if why == "two streams":
        rig.streams.add("OTHER")
    async with rig.sends(*twenty()):
        pass
    assert (len(rig.starts), len(rig.one_by_one)) == (0, 20)


async def test_batch_is_not_gone_on_with_when_a_lease_has_run_out() -> None:
    rig, sent = Rig(), [ticket(body=b"x" * 10_000) for _ in range(20)]
    written: list[int] = []

    def expire(count: int) -> None:
        written.append(count)
        sent[19].batch.expires_at = lease_clock()

    rig.wire.on_write = expire
    async with rig.sends(*sent):
        pass
    assert written[0] < 20
    assert not [reply for reply in rig.wire.replies if reply.endswith("20.2.$FI")]
    assert rig.outcomes == {sent[19]: Released("its lease ran out before it was sent")}
    assert len(rig.one_by_one) == 19


async def test_client_that_fails_in_the_middle_releases_all() -> None:
    rig, sent = Rig(), [ticket(body=b"x" * 10_000) for _ in range(40)]

    def fail(_count: int) -> None:
        raise ConnectionResetError

    rig.wire.on_write = fail
    with pytest.raises(ConnectionResetError):
        await rig.sending.send(sent)
    assert rig.outcomes == dict.fromkeys(sent, NOT_CONNECTED)


async def test_giving_up_one_of_a_batch_gives_up_the_batch() -> None:
    rig, sent = Rig(), twenty()
    async with rig.sends(*sent):
        assert rig.sending.give_up({sent[3]}) == (set(), True)
    assert len(rig.one_by_one) == 20
    assert rig.sending.give_up({sent[3]}) == ({sent[3]}, False)


async def test_giving_up_others_leaves_a_batch_alone() -> None:
    rig, sent = Rig(), twenty()
    async with rig.sends(*sent):
        assert rig.sending.give_up({ticket()}) == (set(), False)
        rig.ends(20)
    assert rig.outcomes == dict.fromkeys(sent, STORED)


async def test_ack_that_was_heard_counts_whatever_comes_next() -> None:
    rig, sent = Rig(), twenty()
    async with rig.sends(*sent):
        rig.ends(20)
        assert rig.sending.give_up(set(sent)) == (set(), False)
        rig.answer(rig.starts[0], "noise")
    assert rig.outcomes == dict.fromkeys(sent, STORED)


async def test_end_of_the_connection_ends_a_batch() -> None:
    rig, sent = Rig(), twenty()
    async with rig.sends(*sent):
        assert rig.sending.end() == sent
    assert rig.outcomes == dict.fromkeys(sent, NOT_CONNECTED)
    assert rig.one_by_one == []


def in_lanes(rig: Rig, *keys: int) -> list[Ticket]:
    """Return events that stand in lanes, and let the rig tell the lanes what becomes of them; what is freed is sent."""
    lanes, batch = Lanes(ordered=True, block=False), batch_of(*map(event, itertools.count(1), keys))
    lanes.admit(lanes.line_up(), batch.tickets)

    def resolve(sent: Ticket, outcome: Outcome) -> None:
        sent.outcome = None
        freed = lanes.resolve(sent, outcome)
        assert not any(one.sent_at for one in freed), "sent twice"

    rig.on_outcome = resolve
    return batch.tickets


async def test_followers_go_along_and_are_not_sent_again() -> None:
    rig = Rig()
    sent = in_lanes(rig, *[7] * 20)
    async with rig.sends(sent[0]):
        rig.ends(20)
    assert len(rig.wire.replies) == 20
    assert [one.outcome for one in sent] == [STORED] * 20


async def test_followers_of_a_refused_one_wait_for_their_turn() -> None:
    rig = Rig()
    sent = in_lanes(rig, *[7] * 20)
    async with rig.sends(sent[0]):
        rig.ends(12)
    assert [one.outcome for one in sent] == [STORED] * 12 + [None] * 8
    assert rig.one_by_one == ["1"]
    assert rig.answer("1") is sent[12]
    rig.on_outcome(sent[12], Rested("acme.stock.moved", "full"))
    assert {type(one.outcome) for one in sent[13:]} == {Released}


def test_lanes_do_not_send_again_what_goes_along() -> None:
    lanes, batch = Lanes(ordered=True, block=False), batch_of(event(1, 7), event(2, 7), event(3, 7))
    first, second, third = batch.tickets
    lanes.admit(lanes.line_up(), batch.tickets)
    second.goes_along = True
    assert lanes.resolve(first, ACKED) == []
    assert lanes.resolve(second, ACKED) == [third]
