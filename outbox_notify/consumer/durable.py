"""The durable: JetStream's memory of what a consumer has handled."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from outbox_notify.errors import ConfigError
from outbox_notify.jetstream.questions import Refused

if TYPE_CHECKING:
    from outbox_notify.jetstream.questions import Questions

_NANOSECONDS = 1_000_000_000
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
# What JetStream has against what we ask of it, whenever we ask: not that the stream or a leader is missing.
_OUR_FAULT = {10012, 10013, 10093, 10094, 10136, 10138, 10148}


@dataclass(frozen=True)
class Durable:
    """A durable pull consumer with explicit acks.

    Args:
        stream: what it reads.
        name: of the durable; processes with the same name share its messages.
        subjects: only these, wildcards included; all when empty.
        ack_wait: seconds after which a message without a sign of life is delivered again.
        max_ack_pending: messages without an answer, in all processes together.
        deliver: where a new durable begins: with all that the stream holds, or with what comes now.
        create: whether to create it, or bring it to these values; otherwise it must exist.
    """

    stream: str
    name: str
    subjects: tuple[str, ...]
    ack_wait: float
    max_ack_pending: int
    deliver: Literal["all", "new"]
    create: bool

    def __post_init__(self) -> None:
        for what, name in (("stream", self.stream), ("durable", self.name)):
            if not _NAME.fullmatch(name):
                raise ConfigError(f"{what}: must be 1 to 64 of the characters A-Z a-z 0-9 _ -")

    @property
    def next_subject(self) -> str:
        """Where its messages are asked for."""
        return f"$JS.API.CONSUMER.MSG.NEXT.{self.stream}.{self.name}"

    async def ensure(self, questions: Questions) -> float:
        """Create or change the durable, or look whether it is what it must be; return its ack wait in seconds.

        Raises:
            ConfigError: it cannot be had like this.
            Refused: the stream or, unless it is to be created, the durable is missing; or JetStream has no leader.
            OutboxError: as for `Questions.ask`.
        """
        try:
            answer = await (self._made(questions) if self.create else self._found(questions))
        except Refused as error:
            if error.code in _OUR_FAULT:
                raise ConfigError(f"durable {self.name} of stream {self.stream}: {error}") from None
            raise
        return float(self._checked(answer["config"])["ack_wait"]) / _NANOSECONDS

    async def _made(self, questions: Questions) -> dict[str, Any]:
        config = {
            "name": self.name,
            "durable_name": self.name,
            "deliver_policy": self.deliver,
            "ack_policy": "explicit",
            "ack_wait": int(self.ack_wait * _NANOSECONDS),
            # Whoever gives up on a message is to tell it: JetStream would only leave it out.
            "max_deliver": -1,
            "max_ack_pending": self.max_ack_pending,
            "replay_policy": "instant",
            **self._filter(),
        }
        request = {"stream_name": self.stream, "config": config}
        return await questions.api(f"CONSUMER.CREATE.{self.stream}.{self.name}", **request)

    def _filter(self) -> dict[str, object]:
        return {"filter_subjects": list(self.subjects)} if self.subjects else {}

    async def _found(self, questions: Questions) -> dict[str, Any]:
        return await questions.api(f"CONSUMER.INFO.{self.stream}.{self.name}")

    def _checked(self, config: dict[str, Any]) -> dict[str, Any]:
        if config.get("deliver_subject") or config.get("ack_policy") != "explicit":
            raise ConfigError(f"durable {self.name} must be a pull consumer with explicit acks")
        if self.max_ack_pending == 1 and config.get("max_ack_pending") != 1:
            raise ConfigError(
                f"durable {self.name} has max_ack_pending {config.get('max_ack_pending')}:"
                " without concurrency it must be 1, or later events would overtake one that is tried again"
            )
        return config
