"""Faults of NATS and of streams that `doctor` finds: each stream has a prefix of its own, on one server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from outbox_notify.config.settings import Settings
from outbox_notify.embedded import EmbeddedNats, ServerProcess
from outbox_notify.embedded.binaries import nats_server_program
from outbox_notify.operations.doctor import nats
from outbox_notify.operations.doctor.events import Events, Largest, Route
from outbox_notify.operations.doctor.examination import messaging
from tests.support.canaries import CANARY
from tests.support.doctor import NOBODY, Said, by_check, troubles
from tests.support.processes import wait_for
from tests.support.stream import connected, create_stream, jetstream_api, spying, stored

if TYPE_CHECKING:
    from collections.abc import Iterator

SECOND = 10**9
GOOD: dict[str, Any] = {"duplicate_window": 600 * SECOND, "allow_batched": True}
ONE_REPLICA = {"stream.replicas": "warn"}

ACCOUNTS = f"""
max_payload: 200000
accounts {{
  EVENTS: {{
    jetstream: enabled
    users: [
      {{ user: all, password: {CANARY} }}
      {{ user: dumb, password: {CANARY}, permissions: {{ publish: ["$JS.API.>"], subscribe: ["_INBOX.>"] }} }}
      {{ user: deaf, password: {CANARY}, permissions: {{ publish: [">"], subscribe: ["nothing"] }} }}
      {{ user: blind, password: {CANARY}, permissions: {{
          publish: ["events.>", "$JS.API.STREAM.NAMES"], subscribe: ["_INBOX.>"] }} }}
      {{ user: acme, password: {CANARY}, permissions: {{
          publish: ["events.acme.>", "$JS.API.>"], subscribe: ["_INBOX.>"] }} }}
      {{ user: lost, password: {CANARY}, permissions: {{ publish: ["events.>"], subscribe: ["_INBOX.>"] }} }}
    ]
  }}
  PLAIN: {{ users: [{{ user: plain, password: {CANARY} }}] }}
}}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedNats]:
    with EmbeddedNats() as server:
        yield server


@pytest.fixture(scope="module")
def guarded() -> Iterator[EmbeddedNats]:
    """A server with users who may do this and that, and a good stream."""
    with EmbeddedNats(ACCOUNTS) as server:
        create_stream(as_user(server, "all"), "events.>", **GOOD)
        yield server


class WithoutJetStream(EmbeddedNats):
    """A nats-server that has none."""

    def _launch(self) -> ServerProcess:
        command = [
            str(nats_server_program()), "--addr", "127.0.0.1", "--port", "-1", "--http_port", "-1",
            "--ports_file_dir", str(self.folder),
        ]  # fmt: skip
        return ServerProcess(command, log=self.log_path, cwd=self.folder)

    def _ready(self) -> bool:
        return self._learn_ports()


def as_user(server: EmbeddedNats, user: str, password: str = CANARY) -> str:
    return f"nats://{user}:{password}@127.0.0.1:{server.port}"


def look(url: str, prefix: str = "events", events: Events | None = None, **settings: Any) -> dict[str, Said]:
    chosen = Settings(nats_url=url, subject_prefix=prefix, **settings)
    return by_check(messaging(chosen, events or Events()))


# What a stream is set to, and the row that has to say so; all other rows are to stay ok.
STREAMS: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "window": ({"duplicate_window": SECOND}, "stream.duplicates", "fail", "--dupe-window 600s"),
    "window-of-retries": ({"duplicate_window": 60 * SECOND}, "stream.duplicates", "warn", "340 s"),
    "work-queue": ({"retention": "workqueue"}, "stream.retention", "warn", "gone with its first ack"),
    "interest": ({"retention": "interest"}, "stream.retention", "fail", "has none"),
    "drops": ({"max_msgs": 5}, "stream.discard", "warn", "--discard new"),
    "last-value": ({"max_msgs_per_subject": 1}, "stream.per_subject", "warn", "--max-msgs-per-subject=-1"),
    "small-messages": ({"max_msg_size": 1000}, "stream.message_size", "fail", "event 7 "),
    "memory": ({"storage": "memory"}, "stream.storage", "warn", "--storage file"),
    "one-by-one": ({"allow_batched": False}, "stream.batches", "warn", "allow_batched: true"),
    "counter": ({"allow_msg_counter": True}, "stream.takes_events", "fail", "counts"),
}


@pytest.mark.parametrize("fault", STREAMS)
def test_stream_that_is_set_wrongly_is_named(server: EmbeddedNats, fault: str) -> None:
    config, check, level, words = STREAMS[fault]
    create_stream(server.url, f"{fault}.>", name=fault, **{**GOOD, **config})
    said = look(server.url, fault, Events([Route("acme", "stock.moved")], Largest(7, 2000)), stream=fault)
    assert said[check].holds(level, fault, words), said[check]
    assert troubles(said) == {**ONE_REPLICA, check: level}


def test_good_stream_has_one_replica_and_nothing_else_to_say(server: EmbeddedNats) -> None:
    create_stream(server.url, "good.>", name="good", **GOOD)
    events = Events([Route("acme", "stock.moved")], Largest(7, 300_000))
    said = look(server.url, "good", events, stream="good")
    assert troubles(said) == ONE_REPLICA
    assert "many events share one ack" in said["stream.batches"].text


def test_command_that_allows_batches_is_what_jetstream_takes(server: EmbeddedNats) -> None:
    create_stream(server.url, "slow.>", name="slow", duplicate_window=600 * SECOND)
    mend = look(server.url, "slow", stream="slow")["stream.batches"].mend
    assert "$JS.API.STREAM.INFO.slow" in mend
    assert "$JS.API.STREAM.UPDATE.slow" in mend
    # What the command hands over.
    config = jetstream_api(server.url, "STREAM.INFO.slow")["config"]
    jetstream_api(server.url, "STREAM.UPDATE.slow", **{**config, "allow_batched": True})
    assert troubles(look(server.url, "slow", stream="slow")) == ONE_REPLICA


def test_full_and_sealed_streams_are_named(server: EmbeddedNats) -> None:
    create_stream(server.url, "full.>", name="full", max_msgs=1, discard="new", **GOOD)
    anyio.run(publish, server.url, "full.acme.a")
    said = look(server.url, "full", stream="full")
    assert said["stream.room"].holds("warn", "100%", "--max-msgs 2"), said["stream.room"]

    config = jetstream_api(server.url, "STREAM.INFO.full")["config"]
    jetstream_api(server.url, "STREAM.UPDATE.full", **{**config, "sealed": True})
    said = look(server.url, "full", stream="full")
    assert said["stream.takes_events"].holds("fail", "sealed"), said["stream.takes_events"]
    assert said["nats.publish"].level == "fail"


async def publish(url: str, subject: str) -> None:
    async with connected(url) as client:
        await client.jetstream().publish(subject, b"{}")


def test_subjects_that_no_stream_takes_are_named(server: EmbeddedNats) -> None:
    create_stream(server.url, "part.acme.>", "part.globex.stock.counted", name="part", **GOOD)
    acme, globex = Route("acme", "stock.moved"), Route("globex", "stock.moved")
    said = look(server.url, "part", Events([acme, globex]), stream="part")
    assert said["streams.subjects"].holds("fail", "no stream takes part.globex.stock.moved", "'part.>'")
    # What has no event yet is only likely to be missed.
    said = look(server.url, "part", Events([acme, Route("globex", "stock.counted")]), stream="part")
    assert said["streams.subjects"].holds("warn", "not all of part.> is taken")

    said = look(server.url, "missing", stream="missing")
    assert said["streams.exists"].holds("warn", "a relay makes missing when it starts")
    said = look(server.url, "other", stream="part")
    assert said["streams.exists"].holds("fail", "part stands for", "nats stream edit part")

    jetstream_api(server.url, "STREAM.CREATE.copy", name="copy", mirror={"name": "part"})
    said = look(server.url, "copied", stream="copy")
    assert said["streams.exists"].holds("fail", "copy is a mirror", "OUTBOX_STREAM")


def test_several_streams_are_each_looked_at_and_cost_the_batches(server: EmbeddedNats) -> None:
    create_stream(server.url, "both.acme.>", name="both-1", **GOOD)
    create_stream(server.url, "both.globex.>", name="both-2", **{**GOOD, "duplicate_window": SECOND})
    found = list(nats.look(Settings(nats_url=server.url, subject_prefix="both"), Events()).found.streams)
    assert [stream.name for stream in found] == ["both-1", "both-2"]
    findings = list(messaging(Settings(nats_url=server.url, subject_prefix="both"), Events()))
    batches = [one for one in findings if one.check == "stream.batches"]
    assert [(one.level, "2 streams take our subjects" in one.text) for one in batches] == [("warn", True)] * 2
    windows = [one.level for one in findings if one.check == "stream.duplicates"]
    assert windows == ["ok", "fail"]


@pytest.mark.slow  # for the ack that is waited for
def test_stream_without_acks_is_named(server: EmbeddedNats) -> None:
    create_stream(server.url, "silent.>", name="silent", no_ack=True, **GOOD)
    many = Events([Route(f"tenant-{n}", "stock.moved") for n in range(10)])
    said = look(server.url, "silent", many, stream="silent")
    assert said["stream.takes_events"].holds("fail", "sends no acks", "--ack")
    assert said["nats.publish"].holds("fail", "no answer within 5 s")


# User, row, level and what it says; the other rows of these users are not looked at.
USERS = [
    ("dumb", "nats.publish", "fail", "does not permit this publish: events.outbox-notify.doctor"),
    ("deaf", "nats.jetstream", "fail", "does not permit this subscription: _inbox."),
    ("blind", "streams.seen", "warn", "$JS.API.STREAM.INFO.OUTBOX"),
    ("lost", "nats.jetstream", "fail", "does not permit this publish: $js.api.stream.names"),
    ("plain", "nats.jetstream", "fail", "JetStream not enabled for account"),
]


@pytest.mark.parametrize(("user", "check", "level", "words"), USERS, ids=[user for user, *_ in USERS])
def test_right_that_is_missing_is_named_at_once(
    guarded: EmbeddedNats, user: str, check: str, level: str, words: str
) -> None:
    said = look(as_user(guarded, user))
    assert said[check].holds(level, words), said[check]
    assert CANARY not in str(said)
    if user in ("deaf", "dumb"):
        assert said["nats.publish"].level == "fail"
        assert "no answer" not in said["nats.publish"].text


def test_right_to_publish_is_tried_for_each_tenant(guarded: EmbeddedNats) -> None:
    events = Events([Route("acme", "stock.moved"), Route("globex", "stock.moved")])
    said = look(as_user(guarded, "acme"), events=events)
    assert said["nats.publish"].holds("fail", "events.globex.outbox-notify.doctor"), said["nats.publish"]
    assert "events.acme." not in said["nats.publish"].text
    assert troubles(look(as_user(guarded, "all"), events=events)) == ONE_REPLICA


def test_server_without_jetstream_is_named() -> None:
    with WithoutJetStream() as plain:
        said = look(plain.url)
    assert said["nats.jetstream"].holds("fail", "nobody answers (503)", "start nats-server with -js")
    assert said["nats.version"].level == "ok"


def test_event_that_is_larger_than_the_server_takes_is_named(guarded: EmbeddedNats) -> None:
    said = look(as_user(guarded, "all"), events=Events([], Largest(7, 300_000)))
    assert said["nats.max_payload"].holds("fail", "event 7 has about 300,600 bytes", "takes 200,000")
    said = look(as_user(guarded, "all"), events=Events([], Largest(7, 190_000)))
    assert said["nats.max_payload"].level == "warn"


def test_server_that_cannot_be_used_is_one_row_without_a_secret(guarded: EmbeddedNats) -> None:
    for url in (as_user(guarded, "all", f"{CANARY}-wrong"), NOBODY):
        said = look(url)
        assert list(said) == ["nats"]
        assert said["nats"].holds("fail", "OUTBOX_NATS_URL"), said
        assert CANARY not in str(said)


def test_probe_is_stored_by_no_stream(server: EmbeddedNats) -> None:
    create_stream(server.url, "probed.>", name="probed", **GOOD)
    with spying(server.url, "probed.>") as spy:
        look(server.url, "probed", Events([Route("acme", "stock.moved")]), stream="probed")
        # It was sent, as an event would be.
        wait_for(lambda: spy.subjects == ["probed.acme.outbox-notify.doctor"], 10, "the probe to pass")
    state = jetstream_api(server.url, "STREAM.INFO.probed")["state"]
    assert (stored(server.url, "probed"), state["last_seq"]) == (0, 0)
