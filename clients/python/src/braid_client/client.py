"""Asks a platform."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from datetime import date
from types import TracebackType
from typing import Any, TypeVar, overload
from urllib.parse import quote

from .answers import Answer, Keys, Series, Top, Total
from .body import Body
from .errors import UnreadableError
from .events import EventSource
from .follow import Follow
from .listings import Alerts, Metric, Report, ReportRow, Status, Stream, StreamOutputs, Table, TableRow, Versions
from .question import Question
from .rejected import Rejected
from .transport import Limits, Transport
from .watch import Watch
from .written import Key, KeysAsked, Length, Moment, Parameters, columns, day, moment, others

A = TypeVar("A", bound=Answer)
B = TypeVar("B", bound=Answer)
C = TypeVar("C", bound=Answer)


class Client:
    """Asks one serving layer, which answers for a deployment. Threads may share it.

    - `url`: where it listens, such as `http://127.0.0.1:8080`; a path before `/v1` is kept.
    - `api_key`: a key of the platform, if it asks for one.
    - `timeout`: for how many seconds the platform may be silent.
    - `version`: the version of the deployment that is asked; default: the active one.
    - `retries`, `max_wait`: how often a `GET` is sent again that was answered with 429 or 503, each time after as long as the answer says, and
      for how many seconds that may be in all.
    - `ssl_context`: which certificates are trusted; default: those of the system.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        timeout: float = 30.0,
        *,
        version: str | None = None,
        retries: int = 3,
        max_wait: float = 30.0,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        if timeout <= 0 or max_wait < 0 or retries < 0:
            raise ValueError("timeout must be above 0, and retries and max_wait at least 0")
        self._transport = Transport(url, api_key, Limits(timeout, retries, max_wait), ssl_context)
        self._version = version

    @property
    def url(self) -> str:
        """Where it asks."""
        return self._transport.url

    def of_version(self, version: str | None) -> Client:
        """The same client, asking another version of the deployment; `None`: the active one. Both share their connections."""
        other = Client.__new__(Client)
        other._transport, other._version = self._transport, version
        return other

    def close(self) -> None:
        """Closes connections that are kept. It can be used again."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        version = "" if self._version is None else f", version={self._version!r}"
        return f"Client({self.url!r}{version})"

    # Metrics.

    def metrics(self) -> tuple[Metric, ...]:
        """All metrics, and how fresh their answers are."""
        return self._get("/v1/metrics").each("metrics", Metric.of)

    def ask(self, question: Question[A]) -> A:
        """The answer to a question."""
        return question.read(self._get(question.path, question.parameters))

    def total(
        self,
        metric: str,
        key: KeysAsked | None = None,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        require_complete: bool = False,
    ) -> Total:
        """As `Question.total`."""
        return self.ask(Question.total(metric, key, start=start, end=end, require_complete=require_complete))

    def series(
        self,
        metric: str,
        key: KeysAsked | None = None,
        *,
        step: Length,
        start: Moment | None = None,
        end: Moment | None = None,
        tz: str | None = None,
        window: Length | None = None,
        require_complete: bool = False,
    ) -> Series:
        """As `Question.series`."""
        question = Question.series(
            metric, key, step=step, start=start, end=end, tz=tz, window=window, require_complete=require_complete
        )
        return self.ask(question)

    def top(
        self,
        metric: str,
        key: Key | None = None,
        *,
        by: str | Sequence[str] | None = None,
        measure: str | None = None,
        limit: int | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        require_complete: bool = False,
    ) -> Top:
        """As `Question.top`."""
        question = Question.top(
            metric, key, by=by, measure=measure, limit=limit, start=start, end=end, require_complete=require_complete
        )
        return self.ask(question)

    def keys(
        self,
        metric: str,
        key: Key | None = None,
        *,
        by: str | None = None,
        prefix: str | None = None,
        after: str | None = None,
        limit: int | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        require_complete: bool = False,
    ) -> Keys:
        """As `Question.keys`."""
        question = Question.keys(
            metric,
            key,
            by=by,
            prefix=prefix,
            after=after,
            limit=limit,
            start=start,
            end=end,
            require_complete=require_complete,
        )
        return self.ask(question)

    def all_keys(
        self,
        metric: str,
        key: Key | None = None,
        *,
        by: str | None = None,
        prefix: str | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        page: int = 1_000,
        require_complete: bool = False,
    ) -> Iterator[Any]:
        """Every value of a column, page by page. Each page is as of its own moment."""
        after: str | None = None
        while True:
            keys = self.keys(
                metric,
                key,
                by=by,
                prefix=prefix,
                after=after,
                limit=page,
                start=start,
                end=end,
                require_complete=require_complete,
            )
            yield from keys.keys
            if not keys.more:
                return
            # `None` is always the last of all.
            last = keys.keys[-1] if keys.keys else None
            if last is None:
                raise UnreadableError("a page of keys says that there are more, and not behind which", "report this as a bug")
            after = ("true" if last else "false") if isinstance(last, bool) else str(last)

    @overload
    def query(self, first: Question[A], /) -> tuple[A]: ...
    @overload
    def query(self, first: Question[A], second: Question[B], /) -> tuple[A, B]: ...
    @overload
    def query(self, first: Question[A], second: Question[B], third: Question[C], /) -> tuple[A, B, C]: ...
    @overload
    def query(self, *questions: Question[A]) -> tuple[A, ...]: ...
    def query(self, *questions: Question[Any]) -> tuple[Any, ...]:
        """The answers to several questions in one request, all of one version, in the order of the questions.

        If one of them has a problem, that is raised, and `parameter` says of which. It is sent once.
        """
        if not questions:
            return ()
        body = {"queries": [question.as_query() for question in questions]}
        answers = self._transport.post("/v1/query", self._of_version(()), body).members("answers")
        if len(answers) != len(questions):
            raise UnreadableError(f"{len(questions)} questions have {len(answers)} answers", "report this as a bug")
        return tuple(question.read(answer) for question, answer in zip(questions, answers))

    def watch(
        self, question: Question[A], *, silence: float = 45.0, give_up_after: float | None = None
    ) -> Watch[A]:
        """The answers to a total, a series or top, told within a second of a change.

        It connects again whenever the connection ends, or is silent for `silence` seconds. `give_up_after`: for how many seconds it tries that,
        before it raises why it cannot; default: without end.
        """
        source = self._events(question.path, question.parameters, None, silence, give_up_after)
        return Watch(question, source)

    # Streams, tables and reports.

    def streams(self) -> tuple[Stream, ...]:
        """All streams, and how they are written."""
        return self._get("/v1/streams").each("streams", Stream.of)

    def stream(
        self,
        stream: str,
        where: Key | None = None,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        limit: int | None = None,
    ) -> StreamOutputs:
        """The newest outputs of a stream. `where` gives values of fields; `None` stands for outputs without one."""
        parameters = columns(where) + others(from_=moment(start), to=moment(end), limit=limit)
        return StreamOutputs.of(self._get(f"/v1/streams/{_part(stream)}", parameters))

    def follow(
        self,
        stream: str,
        where: Key | None = None,
        *,
        last_event_id: str | None = None,
        silence: float = 45.0,
        give_up_after: float | None = None,
    ) -> Follow:
        """The outputs that a stream writes from now on, or behind `last_event_id`, each once. It connects again as `watch` does."""
        path = f"/v1/streams/{_part(stream)}"
        return Follow(self._events(path, columns(where), last_event_id, silence, give_up_after))

    def tables(self) -> tuple[Table, ...]:
        """All tables."""
        return self._get("/v1/tables").each("tables", Table.of)

    def row(self, table: str, key: str | int) -> TableRow:
        """The row of a key, as it is now."""
        return TableRow.of(self._get(f"/v1/tables/{_part(table)}/{_part(str(key))}"))

    def reports(self) -> tuple[Report, ...]:
        """All reports, and how far they are written."""
        return self._get("/v1/reports").each("reports", Report.of)

    def report(self, report: str, date: str | date, key: Key, *, require_complete: bool = False) -> ReportRow:
        """The row of a key in a day of the report's zone. `key` has a value for each of its columns."""
        require = "complete" if require_complete else None
        parameters = columns(key) + others(date=day(date), require=require)
        return ReportRow.of(self._get(f"/v1/reports/{_part(report)}", parameters))

    # The deployment.

    def alerts(self) -> Alerts:
        """The alerts of the active version, and what is known of each."""
        return Alerts.of(self._transport.get("/v1/alerts"))

    def status(self) -> Status:
        """How the deployment stands."""
        return Status.of(self._get("/v1/status"))

    def rejected(self, source: str, *, reason: str | None = None, limit: int | None = None) -> Rejected:
        """The newest rejected records of a source, stream or table, with their bytes, as they were archived.

        `reason`: only those that were rejected for it, such as `missing_field`. Bytes may be anything that a client has sent: where there are API
        keys, this needs one with the scope `admin`.
        """
        return Rejected.of(self._get("/v1/rejected", others(source=source, reason=reason, limit=limit)))

    def versions(self) -> Versions:
        """All versions of the deployment, and which of them answers."""
        return Versions.of(self._transport.get("/v1/versions"))

    def _get(self, path: str, parameters: Parameters = ()) -> Body:
        return self._transport.get(path, self._of_version(parameters))

    def _events(
        self, path: str, parameters: Parameters, last_event_id: str | None, silence: float, give_up_after: float | None
    ) -> EventSource:
        return EventSource(
            self._transport,
            path,
            self._of_version(parameters),
            last_event_id=last_event_id,
            silence=silence,
            give_up_after=give_up_after,
        )

    def _of_version(self, parameters: Parameters) -> Parameters:
        return parameters + others(version=self._version)


def _part(text: str) -> str:
    """A part of a path."""
    return quote(text, safe="")
