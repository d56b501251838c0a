"""What there is, and how it stands: metrics, streams, tables, reports, alerts and versions.

Each has the JSON that it was read from in `raw`, which says more than the members that are typed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from .answers import Gap
from .body import Body
from .frames import Tabular

Raw = Mapping[str, Any]


@dataclass(frozen=True)
class Field:
    """A field, or a column of a group key."""

    name: str
    type: str
    """`string`, `int`, `float`, `bool` or `timestamp`."""
    optional: bool

    @staticmethod
    def of(body: Body) -> Field:
        return Field(body.text("name"), body.text("type"), body.flag("optional"))


@dataclass(frozen=True)
class Freshness:
    """How fresh the answers of a metric are."""

    as_of: datetime | None
    lag_ms: int | None
    complete: bool
    gaps: tuple[Gap, ...]
    error: str | None
    """Why the speed view could not be read."""

    @staticmethod
    def of(body: Body) -> Freshness:
        return Freshness(
            as_of=body.maybe_instant("as_of"),
            lag_ms=body.maybe_integer("lag_ms"),
            complete=body.flag("complete"),
            gaps=body.maybe_each("gaps", Gap.of),
            error=body.maybe_text("error"),
        )


@dataclass(frozen=True)
class Metric:
    """What a metric counts."""

    name: str
    source: str
    where: str | None
    by: tuple[Field, ...]
    """The columns of its group key."""
    grain: str
    measures: Mapping[str, Any]
    derived: Mapping[str, Any]
    freshness: Freshness
    raw: Raw = field(repr=False)

    @staticmethod
    def of(body: Body) -> Metric:
        return Metric(
            name=body.text("name"),
            source=body.text("source"),
            where=body.maybe_text("where"),
            by=body.each("by", Field.of),
            grain=body.text("grain"),
            measures=body.mapping("measures"),
            derived=body.mapping("derived"),
            freshness=Freshness.of(body.member("freshness")),
            raw=body.raw,
        )


@dataclass(frozen=True)
class Stream:
    """What a stream reads and writes."""

    name: str
    kind: str
    """`map`, `window`, `session` or `detect`."""
    source: str
    """The source or stream that it reads."""
    topic: str
    fields: tuple[Field, ...]
    written: bool | None
    """Whether it is written at all; `None` if that is not known."""
    why: str | None
    stopped: tuple[str, ...]
    warnings: tuple[str, ...]
    raw: Raw = field(repr=False)

    @staticmethod
    def of(body: Body) -> Stream:
        return Stream(
            name=body.text("name"),
            kind=body.text("kind"),
            source=body.text("from"),
            topic=body.text("topic"),
            fields=body.each("fields", Field.of),
            written=body.maybe_flag("written"),
            why=body.maybe_text("why"),
            stopped=body.texts("stopped"),
            warnings=body.texts("warnings"),
            raw=body.raw,
        )


@dataclass(frozen=True)
class StreamOutputs(Tabular):
    """The newest outputs of a stream."""

    version: str
    stream: str
    outputs: tuple[Mapping[str, Any], ...]
    """As they were written, the newest first."""
    more: bool
    """Whether there are older ones in the range."""
    complete: bool
    gaps: tuple[Gap, ...]
    last_event_id: str | None
    """From where `Client.follow` goes on behind them."""
    raw: Raw = field(repr=False)

    def rows_flat(self) -> list[dict[str, Any]]:
        return [dict(output) for output in self.outputs]

    @staticmethod
    def of(body: Body) -> StreamOutputs:
        return StreamOutputs(
            version=body.text("version"),
            stream=body.text("stream"),
            outputs=tuple(output.raw for output in body.members("outputs")),
            more=body.flag("more"),
            complete=body.flag("complete"),
            gaps=body.each("gaps", Gap.of),
            last_event_id=body.maybe_text("last_event_id"),
            raw=body.raw,
        )


@dataclass(frozen=True)
class Table:
    """What a table is made of."""

    name: str
    topic: str
    key: str
    """The field that is the key."""
    format: str
    fields: tuple[Field, ...]
    raw: Raw = field(repr=False)

    @staticmethod
    def of(body: Body) -> Table:
        return Table(
            name=body.text("name"),
            topic=body.text("topic"),
            key=body.text("key"),
            format=body.text("format"),
            fields=body.each("fields", Field.of),
            raw=body.raw,
        )


@dataclass(frozen=True)
class TableRow:
    """The row of a key."""

    version: str
    table: str
    key: str
    row: Mapping[str, Any] | None
    """By field; `None` if the key has no row."""
    changed_at: datetime | None
    """The time of the change that decides, a delete too."""
    raw: Raw = field(repr=False)

    @staticmethod
    def of(body: Body) -> TableRow:
        return TableRow(
            version=body.text("version"),
            table=body.text("table"),
            key=body.text("key"),
            row=body.maybe_mapping("row"),
            changed_at=body.maybe_instant("changed_at"),
            raw=body.raw,
        )


@dataclass(frozen=True)
class Report:
    """What a report is made of."""

    name: str
    metric: str
    schedule: str
    time_zone: str
    tables: tuple[str, ...]
    key: tuple[str, ...]
    running_date: date | None
    """The day that runs now in its zone."""
    last_date: date | None
    """The last day that was written."""
    raw: Raw = field(repr=False)

    @staticmethod
    def of(body: Body) -> Report:
        return Report(
            name=body.text("name"),
            metric=body.text("metric"),
            schedule=body.text("schedule"),
            time_zone=body.text("time_zone"),
            tables=body.texts("tables"),
            key=body.texts("key"),
            running_date=body.maybe_date("running_date"),
            last_date=body.maybe_read("last", lambda last: last.maybe_date("date")),
            raw=body.raw,
        )


@dataclass(frozen=True)
class ReportRow:
    """The row of a key in a day."""

    version: str
    report: str
    date: date | None
    row: Mapping[str, Any] | None
    """By column; `None` if the key has no events in that day."""
    final: bool
    """Whether it is the row of the warehouse."""
    complete: bool
    gaps: tuple[Gap, ...]
    as_of: datetime | None
    committed_at: datetime | None
    raw: Raw = field(repr=False)

    @staticmethod
    def of(body: Body) -> ReportRow:
        return ReportRow(
            version=body.text("version"),
            report=body.text("report"),
            date=body.maybe_date("date"),
            row=body.maybe_mapping("row"),
            final=body.flag("final"),
            complete=body.flag("complete"),
            gaps=body.each("gaps", Gap.of),
            as_of=body.maybe_instant("as_of"),
            committed_at=body.maybe_instant("committed_at"),
            raw=body.raw,
        )


@dataclass(frozen=True)
class Alert:
    """How an alert is declared, and what is known of it."""

    name: str
    metric: str
    keys: Mapping[str, Any]
    window: str
    when: str
    state: str
    """`ok`, `pending`, `firing` or `unknown`."""
    reason: str | None
    """Why the state is unknown."""
    since: datetime | None
    judged_to: datetime | None
    """The end of the window that was judged last."""
    labels: Mapping[str, Any]
    values: Mapping[str, Any]
    """What the condition looked at."""
    raw: Raw = field(repr=False)

    @property
    def firing(self) -> bool:
        return self.state == "firing"

    @staticmethod
    def of(body: Body) -> Alert:
        return Alert(
            name=body.text("name"),
            metric=body.text("metric"),
            keys=body.mapping("keys"),
            window=body.text("window"),
            when=body.text("when"),
            state=body.text("state"),
            reason=body.maybe_text("reason"),
            since=body.maybe_instant("since"),
            judged_to=body.maybe_instant("judged_to"),
            labels=body.mapping("labels"),
            values=body.mapping("values"),
            raw=body.raw,
        )


@dataclass(frozen=True)
class Alerts:
    """The alerts of the active version."""

    version: str
    alerts: tuple[Alert, ...]
    judge: str
    """What the process does that answers: `judging`, `following`, `idle` or `starting`."""
    undelivered: int
    """How many notifications the receiver has not taken yet."""
    raw: Raw = field(repr=False)

    @property
    def firing(self) -> tuple[Alert, ...]:
        """Those that fire."""
        return tuple(alert for alert in self.alerts if alert.firing)

    @staticmethod
    def of(body: Body) -> Alerts:
        return Alerts(
            version=body.text("version"),
            alerts=body.each("alerts", Alert.of),
            judge=body.member("judge").text("state"),
            undelivered=body.member("webhook").integer("undelivered"),
            raw=body.raw,
        )


@dataclass(frozen=True)
class Status:
    """How the deployment stands. `raw` has its sources, partitions and rejects."""

    deployment: str
    version: str
    dependencies: Mapping[str, bool]
    """Whether Redis, Kafka and the store could be reached, by name."""
    rejected: Mapping[str, int]
    """By source, how many records were rejected."""
    raw: Raw = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether everything could be reached."""
        return all(self.dependencies.values())

    @staticmethod
    def of(body: Body) -> Status:
        deployment, dependencies = body.member("deployment"), body.member("dependencies")
        sources = body.members("sources")
        return Status(
            deployment=deployment.text("name"),
            version=deployment.text("version"),
            dependencies={name: dependencies.member(name).flag("ok") for name in dependencies.raw},
            rejected={
                source.text("name"): sum(reject.integer("count") for reject in source.members("rejects"))
                for source in sources
            },
            raw=body.raw,
        )


@dataclass(frozen=True)
class Version:
    """A version of the deployment."""

    name: str
    stage: str
    """`created`, `counting`, `following`, `stopped`, `retiring` or `retired`."""
    active: bool
    complete: bool
    lag_ms: int | None
    error: str | None
    raw: Raw = field(repr=False)

    @staticmethod
    def of(body: Body) -> Version:
        return Version(
            name=body.text("version"),
            stage=body.text("stage"),
            active=body.flag("active"),
            complete=body.flag("complete"),
            lag_ms=body.maybe_integer("lag_ms"),
            error=body.maybe_text("error"),
            raw=body.raw,
        )


@dataclass(frozen=True)
class Promotion:
    """That a version became the active one."""

    at: datetime
    by: str
    before: str
    after: str
    rolled_back: bool

    @staticmethod
    def of(body: Body) -> Promotion:
        return Promotion(
            at=body.instant("at"),
            by=body.text("by"),
            before=body.text("from"),
            after=body.text("to"),
            rolled_back=body.flag("rolled_back"),
        )


@dataclass(frozen=True)
class Versions:
    """All versions, and which of them answers."""

    active: str
    versions: tuple[Version, ...]
    """In the order of their creation."""
    promotions: tuple[Promotion, ...]
    """The newest last."""
    raw: Raw = field(repr=False)

    @staticmethod
    def of(body: Body) -> Versions:
        return Versions(
            active=body.text("active"),
            versions=body.each("versions", Version.of),
            promotions=body.each("promotions", Promotion.of),
            raw=body.raw,
        )
