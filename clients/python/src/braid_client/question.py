"""What can be asked of a metric."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from .answers import Answer, Keys, Series, Top, Total
from .body import Body
from .written import Key, KeysAsked, Length, Moment, Parameters, columns, length, moment, others

A = TypeVar("A", bound=Answer, covariant=True)


@dataclass(frozen=True)
class Question(Generic[A]):
    """A question about a metric: `Client.ask` asks it, `Client.query` asks several at once, `Client.watch` asks again and again."""

    metric: str
    answer: str
    """`total`, `series`, `top` or `keys`."""
    parameters: Parameters
    read: Callable[[Body], A] = field(repr=False)
    """Reads the answer."""

    @staticmethod
    def total(
        metric: str,
        key: KeysAsked | None = None,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        require_complete: bool = False,
    ) -> Question[Total]:
        """The total in [start, end). Several values of a column ask for several keys; columns that are left out are summed over."""
        parameters = columns(key) + _range(start, end, require_complete)
        return Question(metric, "total", parameters, Total.of)

    @staticmethod
    def series(
        metric: str,
        key: KeysAsked | None = None,
        *,
        step: Length,
        start: Moment | None = None,
        end: Moment | None = None,
        tz: str | None = None,
        window: Length | None = None,
        require_complete: bool = False,
    ) -> Question[Series]:
        """A value for each step in [start, end).

        `tz` names a zone, such as `Europe/Berlin`, by whose clocks steps begin. With `window`, each point covers so much time before the end of
        its step.
        """
        stepping = others(step=length(step), tz=tz, window=length(window))
        parameters = columns(key) + _range(start, end, require_complete) + stepping
        return Question(metric, "series", parameters, Series.of)

    @staticmethod
    def top(
        metric: str,
        key: Key | None = None,
        *,
        by: str | Sequence[str] | None = None,
        measure: str | None = None,
        limit: int | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        require_complete: bool = False,
    ) -> Question[Top]:
        """The keys with the largest `measure`; default: the metric's first. `by` names the columns that are listed; default: all not in `key`."""
        names = by if by is None or isinstance(by, str) else ",".join(by)
        ranking = others(by=names, measure=measure, limit=limit)
        parameters = columns(key) + _range(start, end, require_complete) + ranking
        return Question(metric, "top", parameters, Top.of)

    @staticmethod
    def keys(
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
    ) -> Question[Keys]:
        """The values of the column `by`; default: the first that is not in `key`. `Client.all_keys` takes page after page."""
        listing = others(by=by, prefix=prefix, after=after, limit=limit)
        parameters = columns(key) + _range(start, end, require_complete) + listing
        return Question(metric, "keys", parameters, Keys.of)

    @property
    def path(self) -> str:
        """The path that answers it."""
        return f"/v1/metrics/{quote(self.metric, safe='')}/{self.answer}"

    def as_query(self) -> dict[str, Any]:
        """The question as one of several in the body of a request."""
        parameters: dict[str, list[str]] = {}
        for name, value in self.parameters:
            parameters.setdefault(name, []).append(value)
        return {"metric": self.metric, "answer": self.answer, "parameters": parameters}


def _range(start: Moment | None, end: Moment | None, require_complete: bool) -> Parameters:
    require = "complete" if require_complete else None
    return others(from_=moment(start), to=moment(end), require=require)
