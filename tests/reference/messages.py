"""The page of messages: one that the relay's own encoder makes, and what each of its headers means."""

from __future__ import annotations

from outbox_notify.config.settings import declarations
from outbox_notify.jetstream.messages import Encoder
from outbox_notify.relay.claims import ClaimedEvent

_REPLAY = "06b0b7f1"
_EVENT = ClaimedEvent(
    id=42,
    event_id="01a20a8e-b46c-70e9-9525-d38cf110237f",
    tenant_id="north",
    event_type="inventory.receipt.validated",
    aggregate_type="receipt",
    aggregate_id="Köln/42",
    content_type="application/json",
    headers='{"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}',
    created_at="2026-05-01T08:00:00.123456Z",
    ordering_key=1,
    attempts=0,
    body=b'{"receipt": 42, "lines": [{"product": "screw", "quantity": 100}]}',
)
# A header that is not here makes the page fail, and one that is here and not in the message too.
_HEADERS = {
    "Nats-Msg-Id": "`event_id`: what JetStream knows copies by. A replay adds `;r=` and its own id",
    "ce-specversion": "CloudEvents 1.0, binary mode",
    "ce-id": "`event_id`, also in a replay: what consumers know copies by",
    "ce-type": "`event_type`",
    "ce-source": "`OUTBOX_CE_SOURCE`",
    "ce-time": "`created_at`, in UTC",
    "ce-tenantid": "`tenant_id`",
    "Outbox-Replay": "only in a replay: its id",
    "ce-subject": "`aggregate_id`, only of events with an aggregate",
    "ce-partitionkey": "aggregate type and id: messages with the same one and the same `ce-tenantid` are in order",
    "Content-Type": "`content_type`",
    "traceparent": "an example of the row's own `headers`, which travel on as they are",
}

_PAGE = """\
# Messages

What a consumer gets for an event.

- **Subject**: `{{prefix}}.{{tenant_id}}.{{event_type}}`. The prefix is `OUTBOX_SUBJECT_PREFIX`, `{prefix}` by
  default. So `{prefix}.north.>` is all of one tenant, and `{prefix}.*.inventory.receipt.*` one kind of event of all
  tenants.
- **Body**: `payload` as JSON text, or `payload_bytes` byte for byte. JSON is as PostgreSQL keeps `jsonb`: keys in an
  order of its own, none twice.
- **Headers**: those below, then the row's own. A value of a `ce-` header is percent-encoded where it is not printable
  ASCII, or is a space, `"` or `%`, as the
  [HTTP binding of CloudEvents](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md)
  says.
- **Stream**: what covers `{prefix}.>`. When nothing does, the relay makes `OUTBOX_STREAM` (`{stream}` by default):
  file storage, limits retention without a limit, one replica, copies known for ten minutes, batched and atomic
  publish where the server has them. A stream that exists is never changed.

Written by `make reference`, from what the relay makes of an event:

```text
{subject}

{head}

{body}
```

| header | holds |
| --- | --- |
{rows}

A consumer handles an event once if it remembers `ce-id` in the transaction of what it does: the stream drops copies
within its duplicate window only, and a replay is meant to arrive. Messages of one aggregate are in the order of their
sequence in the stream. No message says how many there will be, and none is ever taken back.
"""


def page() -> str:
    """Return the page."""
    source = declarations()["ce_source"].default
    prefix = declarations()["subject_prefix"].default
    message = Encoder(prefix, source).encode(_EVENT, 2**20)
    head = message.head.decode().replace("\r", "").strip()
    return _PAGE.format(
        prefix=prefix,
        stream=declarations()["stream"].default,
        subject=message.subject,
        head=head,
        body=message.body.decode(),
        rows="\n".join(f"| `{name}` | {_HEADERS[name]} |" for name in _names(prefix, source)),
    )


def _names(prefix: str, source: str) -> list[str]:
    """Return the headers of a message that has all of them."""
    lines = Encoder(prefix, source, _REPLAY).encode(_EVENT, 2**20).head.decode().split("\r\n")[1:-2]
    names = [line.partition(":")[0] for line in lines]
    assert set(names) == set(_HEADERS)
    return names
