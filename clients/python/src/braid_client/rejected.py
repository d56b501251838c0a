"""Records that were rejected, with the bytes that a client has sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .body import Body
from .errors import UnreadableError
from .frames import Tabular


@dataclass(frozen=True)
class ShownBytes:
    """Bytes that a client has sent, or the first of them."""

    content: bytes
    size: int
    """How many there are."""
    cut: bool
    """Whether `content` is only the first of them."""

    @property
    def text(self) -> str | None:
        """The same as text; `None` if they are no UTF-8."""
        try:
            return self.content.decode()
        except UnicodeDecodeError:
            return None

    @staticmethod
    def of(body: Body) -> ShownBytes:
        return ShownBytes(content=_content(body), size=body.integer("bytes"), cut=body.flag("cut"))


@dataclass(frozen=True)
class RejectedRecord:
    """A rejected record."""

    log: str
    partition: int
    offset: int
    timestamp: datetime | None
    """The record's own."""
    reason: str
    """Why it was rejected, such as `missing_field`."""
    field: str | None
    """The field that the reason is about, if it is about one."""
    current: bool
    """Whether the catalog's rules have rejected it. Otherwise older ones have, and those of now may accept it."""
    key: ShownBytes | None
    """At most 1,024 bytes."""
    payload: ShownBytes | None
    """At most 4,096 bytes."""

    @staticmethod
    def of(body: Body) -> RejectedRecord:
        return RejectedRecord(
            log=body.text("log"),
            partition=body.integer("partition"),
            offset=body.integer("offset"),
            timestamp=body.maybe_instant("timestamp"),
            reason=body.text("reason"),
            field=body.maybe_text("field"),
            current=body.flag("current"),
            key=body.maybe_read("key", ShownBytes.of),
            payload=body.maybe_read("payload", ShownBytes.of),
        )


@dataclass(frozen=True)
class Rejected(Tabular):
    """The newest rejected records of a source."""

    version: str
    source: str
    archived: bool
    """Whether anything of the source is archived."""
    records: tuple[RejectedRecord, ...]
    """The newest first, by day and by their own timestamps."""
    more: bool
    """Whether there may be older ones."""
    complete: bool
    """Whether the search has come to its end. Otherwise it was ended after a few seconds, and older records may be missing."""
    raw: Mapping[str, Any] = field(repr=False)

    def rows_flat(self) -> list[dict[str, Any]]:
        return [
            {
                "log": record.log,
                "partition": record.partition,
                "offset": record.offset,
                "timestamp": record.timestamp,
                "reason": record.reason,
                "field": record.field,
                "current": record.current,
                "key": None if record.key is None else record.key.content,
                "payload": None if record.payload is None else record.payload.content,
            }
            for record in self.records
        ]

    @staticmethod
    def of(body: Body) -> Rejected:
        return Rejected(
            version=body.text("version"),
            source=body.text("source"),
            archived=body.flag("archived"),
            records=body.each("records", RejectedRecord.of),
            more=body.flag("more"),
            complete=body.flag("complete"),
            raw=body.raw,
        )


def _content(body: Body) -> bytes:
    text = body.maybe_text("text")
    if text is not None:
        return text.encode()
    try:
        return bytes.fromhex(body.text("hex"))
    except ValueError as error:
        raise UnreadableError(f"the bytes of a rejected record are no hexadecimal digits: {error}", "report this as a bug") from error
