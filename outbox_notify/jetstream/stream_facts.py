"""A stream and an account, as JetStream's API describes them; what an old server does not say has its default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NANOSECONDS = 1e9


@dataclass(frozen=True)
class StreamFacts:
    """How a stream is set and how it stands; limits are -1 when there is none, durations are seconds.

    Args:
        leader: of its replicas; None without a cluster, empty when there is none.
        lagging: replicas that are offline or behind.
        settings: the configuration as the server tells it, for what is looked at once.
    """

    name: str
    subjects: Sequence[str]
    retention: str
    discard: str
    storage: str
    replicas: int
    duplicate_window: float
    max_age: float
    max_messages: int
    max_bytes: int
    max_message_size: int
    max_per_subject: int
    messages: int
    bytes: int
    consumers: int
    lost_messages: int
    leader: str | None
    lagging: Sequence[str]
    settings: Mapping[str, Any]

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> Self:
        """Read an answer to `STREAM.INFO`."""
        config, state, cluster = answer["config"], answer["state"], answer.get("cluster")
        return cls(
            name=config["name"],
            subjects=config.get("subjects") or [],
            retention=config.get("retention", "limits"),
            discard=config.get("discard", "old"),
            storage=config.get("storage", "file"),
            replicas=config.get("num_replicas", 1),
            duplicate_window=config.get("duplicate_window", 0) / _NANOSECONDS,
            max_age=config.get("max_age", 0) / _NANOSECONDS,
            max_messages=config.get("max_msgs", -1),
            max_bytes=config.get("max_bytes", -1),
            max_message_size=config.get("max_msg_size", -1),
            max_per_subject=config.get("max_msgs_per_subject", -1),
            messages=state.get("messages", 0),
            bytes=state.get("bytes", 0),
            consumers=state.get("consumer_count", 0),
            lost_messages=len((state.get("lost") or {}).get("msgs") or []),
            leader=cluster.get("leader", "") if cluster else None,
            lagging=[one["name"] for one in (cluster or {}).get("replicas") or [] if not _is_current(one)],
            settings=config,
        )

    def says(self, setting: str) -> bool:
        """Return whether a setting is on, such as `no_ack`."""
        return bool(self.settings.get(setting))


@dataclass(frozen=True)
class Account:
    """How much of its storage an account uses; limits are -1 when there is none."""

    storage: int
    max_storage: int
    streams: int
    max_streams: int

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> Self:
        """Read an answer to `INFO`."""
        limits = answer.get("limits") or {}
        return cls(
            storage=answer.get("storage", 0),
            max_storage=limits.get("max_storage", -1),
            streams=answer.get("streams", 0),
            max_streams=limits.get("max_streams", -1),
        )


def _is_current(replica: Mapping[str, Any]) -> bool:
    return bool(replica.get("current")) and not replica.get("offline")
