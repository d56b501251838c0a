"""Answers about metrics.

Each has the JSON that it was read from in `raw`: a newer platform may say more than this client knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from .body import Body
from .frames import Tabular

Values = Mapping[str, Any]
"""Measures and derived values by name. A sum that does not fit in 64 bits is `None`, and so is what is calculated of nothing."""


@dataclass(frozen=True)
class Gap:
    """Something that may be missing."""

    reason: str
    """The reason as a word, such as `not_archived` or `lost`."""
    text: str
    """The reason in words, and what to do."""
    source: str
    log: str | None
    partition: int | None

    @staticmethod
    def of(body: Body) -> Gap:
        return Gap(
            reason=body.text("reason"),
            text=body.text("text"),
            source=body.text("source"),
            log=body.maybe_text("log"),
            partition=body.maybe_integer("partition"),
        )


@dataclass(frozen=True)
class Answer(Tabular):
    """What all answers about a metric say."""

    version: str
    """The version of the deployment that answers."""
    metric: str
    start: datetime | None
    """The start of the range, widened to the grain; `None`: the first event."""
    end: datetime | None
    """The end of the range, which it excludes; `None`: the last event."""
    grain: str
    complete: bool
    """Whether nothing that arrived before `as_of` is missing."""
    gaps: tuple[Gap, ...]
    authoritative: bool
    """Whether all of it comes from the batch view."""
    as_of: datetime | None
    """Every record that had arrived at this time is counted, apart from the gaps."""
    raw: Mapping[str, Any] = field(repr=False)

    def rows_flat(self) -> list[dict[str, Any]]:
        raise NotImplementedError


@dataclass(frozen=True)
class KeyTotal:
    """A total of one key."""

    key: Mapping[str, Any]
    """The columns that were asked for."""
    values: Values
    batch: Values
    """What the batch view contributed to the measures."""
    speed: Values
    """What the speed view contributed to the measures."""
    authoritative: bool
    overflow: Mapping[str, str]
    """By value that is `None` because it does not fit in 64 bits: why."""
    bounds: Mapping[str, Mapping[str, Any]]
    """By value that is an estimate: how certain it is."""


@dataclass(frozen=True)
class Total(Answer):
    """Totals of one key or of several."""

    keys: tuple[KeyTotal, ...]
    """In the order in which they were asked for."""
    batch_version: int | None
    """The version of the batch view; `None` before the first reconcile."""
    committed_at: datetime | None
    lag_ms: int | None
    """Milliseconds from `as_of` to the moment at which the platform looked."""

    @property
    def values(self) -> Values:
        """The values, if one key was asked for."""
        return _only(self.keys).values

    @property
    def key(self) -> Mapping[str, Any]:
        """The key, if one was asked for."""
        return _only(self.keys).key

    def rows_flat(self) -> list[dict[str, Any]]:
        return [{**of.key, **of.values, "authoritative": of.authoritative} for of in self.keys]

    @staticmethod
    def of(body: Body) -> Total:
        provenance = body.member("provenance")
        batch, speed = provenance.member("batch"), provenance.member("speed")
        return Total(
            **_head(body),
            keys=_each_key(body, _key_total),
            batch_version=batch.maybe_integer("version"),
            committed_at=batch.maybe_instant("committed_at"),
            lag_ms=speed.maybe_integer("lag_ms"),
        )


@dataclass(frozen=True)
class Point:
    """One step of a series, or a window that ends with it."""

    start: datetime
    end: datetime | None
    """Only if a zone or a window was asked for: then points are not all as long as a step."""
    values: Values
    layer: str
    """`batch`, `speed` or `both`."""
    overflow: Mapping[str, str]
    bounds: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class KeySeries:
    """A series of one key."""

    key: Mapping[str, Any]
    points: tuple[Point, ...]
    authoritative: bool


@dataclass(frozen=True)
class Series(Answer):
    """Series of one key or of several."""

    keys: tuple[KeySeries, ...]
    """In the order in which they were asked for."""
    step: str
    tz: str | None
    window: str | None

    @property
    def points(self) -> tuple[Point, ...]:
        """The points, if one key was asked for."""
        return _only(self.keys).points

    @property
    def key(self) -> Mapping[str, Any]:
        """The key, if one was asked for."""
        return _only(self.keys).key

    def rows_flat(self) -> list[dict[str, Any]]:
        rows = []
        for of in self.keys:
            for point in of.points:
                times = {"start": point.start} if point.end is None else {"start": point.start, "end": point.end}
                rows.append({**of.key, **times, **point.values, "layer": point.layer})
        return rows

    @staticmethod
    def of(body: Body) -> Series:
        return Series(
            **_head(body),
            keys=_each_key(body, _key_series),
            step=body.text("step"),
            tz=body.maybe_text("tz"),
            window=body.maybe_text("window"),
        )


@dataclass(frozen=True)
class TopRow:
    """One of the largest keys."""

    key: Mapping[str, Any]
    values: Values
    layer: str
    overflow: Mapping[str, str]
    bounds: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Top(Answer):
    """The largest keys."""

    by: tuple[str, ...]
    """The columns whose values are listed."""
    measure: str
    """The value by which keys are ranked."""
    limit: int
    key: Mapping[str, Any]
    """The columns that were given."""
    ranked: int
    """How many keys there are."""
    rows: tuple[TopRow, ...]
    """The largest first."""

    def rows_flat(self) -> list[dict[str, Any]]:
        return [{**row.key, **row.values, "layer": row.layer} for row in self.rows]

    @staticmethod
    def of(body: Body) -> Top:
        return Top(
            **_head(body),
            by=body.texts("by"),
            measure=body.text("measure"),
            limit=body.integer("limit"),
            key=body.mapping("key"),
            ranked=body.integer("ranked"),
            rows=body.each("rows", _top_row),
        )


@dataclass(frozen=True)
class Keys(Answer):
    """Values of a column."""

    by: str
    """The column."""
    prefix: str | None
    limit: int
    key: Mapping[str, Any]
    """The columns that were given."""
    keys: tuple[Any, ...]
    """In the order of their texts; `None` stands for events without a value, and comes last."""
    more: bool
    """Whether there are others behind these."""

    def rows_flat(self) -> list[dict[str, Any]]:
        return [{self.by: key} for key in self.keys]

    @staticmethod
    def of(body: Body) -> Keys:
        return Keys(
            **_head(body),
            by=body.text("by"),
            prefix=body.maybe_text("prefix"),
            limit=body.integer("limit"),
            key=body.mapping("key"),
            keys=body.items("keys"),
            more=body.flag("more"),
        )


Of = TypeVar("Of")


def _only(keys: tuple[Of, ...]) -> Of:
    if len(keys) != 1:
        raise ValueError(f"the answer is about {len(keys)} keys: read .keys, which has one after the other")
    return keys[0]


def _head(body: Body) -> dict[str, Any]:
    return {
        "version": body.text("version"),
        "metric": body.text("metric"),
        "start": body.maybe_instant("from"),
        "end": body.maybe_instant("to"),
        "grain": body.text("grain"),
        "complete": body.flag("complete"),
        "gaps": body.each("gaps", Gap.of),
        "authoritative": body.flag("authoritative"),
        "as_of": body.maybe_instant("as_of"),
        "raw": body.raw,
    }


def _each_key(body: Body, read: Callable[[Body], Of]) -> tuple[Of, ...]:
    """What an answer says of each key. That of one key stands in the answer itself."""
    return body.each("keys", read) if body.has("keys") else (read(body),)


def _key_total(body: Body) -> KeyTotal:
    provenance = body.member("provenance")
    return KeyTotal(
        key=body.mapping("key"),
        values=body.mapping("values"),
        batch=provenance.member("batch").mapping("values"),
        speed=provenance.member("speed").mapping("values"),
        authoritative=body.flag("authoritative"),
        overflow=_overflow(body),
        bounds=_bounds(body),
    )


def _key_series(body: Body) -> KeySeries:
    return KeySeries(key=body.mapping("key"), points=body.each("points", _point), authoritative=body.flag("authoritative"))


def _point(body: Body) -> Point:
    return Point(start=body.instant("start"), end=body.maybe_instant("end"), **_of_both_layers(body))


def _top_row(body: Body) -> TopRow:
    return TopRow(key=body.mapping("key"), **_of_both_layers(body))


def _of_both_layers(body: Body) -> dict[str, Any]:
    """Merged values, and what is said of them."""
    return {
        "values": body.mapping("values"),
        "layer": body.text("layer"),
        "overflow": _overflow(body),
        "bounds": _bounds(body),
    }


def _overflow(body: Body) -> Mapping[str, str]:
    return {each.text("value"): each.text("reason") for each in body.maybe_members("overflow")}


def _bounds(body: Body) -> Mapping[str, Mapping[str, Any]]:
    bounds = body.maybe_member("bounds")
    return {} if bounds is None else {name: bounds.mapping(name) for name in bounds.raw}
