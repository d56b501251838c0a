"""The outputs that a stream writes, as they are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeAlias

from .answers import Gap
from .body import Body
from .events import Event, EventSource


@dataclass(frozen=True)
class Output:
    """A record of the stream."""

    fields: Mapping[str, Any]
    """The fields as they were written, `output_id` and `output_time` among them."""


@dataclass(frozen=True)
class VersionTold:
    """What follows is of this version's stream, in this topic."""

    version: str
    topic: str


@dataclass(frozen=True)
class Missed:
    """Outputs that were not told, and will not be."""

    gap: Gap


Followed: TypeAlias = Output | VersionTold | Missed


class Follow:
    """Iterates over the outputs of a stream from now on, or from `last_event_id` on: each once, also over lost connections.

    Between them stand `VersionTold`, which comes first and whenever another version is told, and `Missed`, where something is missing.
    """

    def __init__(self, source: EventSource) -> None:
        self._source = source
        self._version: VersionTold | None = None

    def __iter__(self) -> Iterator[Followed]:
        for event in self._source:
            followed = self._followed(event)
            if followed is not None:
                yield followed

    def outputs(self) -> Iterator[Mapping[str, Any]]:
        """The fields of outputs alone. Where something is missing, it says nothing of that."""
        return (followed.fields for followed in self if isinstance(followed, Output))

    @property
    def last_event_id(self) -> str | None:
        """Where it is. Whoever keeps it can go on there later."""
        return self._source.last_event_id

    @property
    def connections(self) -> int:
        """How often it has connected."""
        return self._source.connections

    def close(self) -> None:
        """Ends the iteration, also one that waits in another thread."""
        self._source.close()

    def __enter__(self) -> Follow:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _followed(self, event: Event) -> Followed | None:
        body = Body.read(event.data, f"an event {event.kind}".rstrip())
        if event.kind == "":
            return Output(body.raw)
        if event.kind == "gap":
            return Missed(Gap.of(body))
        if event.kind == "version":
            told = VersionTold(body.text("version"), body.text("topic"))
            # Each connection begins with it.
            is_another, self._version = told != self._version, told
            return told if is_another else None
        # The process stops, or the version does: the connection ends, and the next one says how matters stand.
        return None
