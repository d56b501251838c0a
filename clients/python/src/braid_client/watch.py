"""Answers about a metric that are told again whenever they change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Generic, TypeAlias, TypeVar

from .answers import Answer
from .body import Body
from .errors import ProblemError
from .events import Event, EventSource
from .question import Question
from .transport import problem_of

A = TypeVar("A", bound=Answer)


@dataclass(frozen=True)
class Answered(Generic[A]):
    """The answer is another one now."""

    answer: A


@dataclass(frozen=True)
class Fresh:
    """The answer that was told last is also the one as of this moment."""

    as_of: datetime


@dataclass(frozen=True)
class Troubled:
    """There is no answer now. The next one ends it."""

    problem: ProblemError


Told: TypeAlias = "Answered[A] | Fresh | Troubled"


class Watch(Generic[A]):
    """Iterates over the answers to a question: the one of now, then each that is another one.

    It connects again by itself. `as_of` and `problem` say how matters stand between two answers, and `told` iterates over all of that.
    """

    def __init__(self, question: Question[A], source: EventSource) -> None:
        self._question, self._source = question, source
        self.answer: A | None = None
        """The answer that was told last."""
        self.as_of: datetime | None = None
        """As of when that is the answer."""
        self.problem: ProblemError | None = None
        """Why there is no newer one, since the last answer; it may pass."""

    def __iter__(self) -> Iterator[A]:
        for told in self.told():
            if isinstance(told, Answered):
                yield told.answer

    def told(self) -> Iterator[Told[A]]:
        """Everything that the platform tells.

        Raises a `ProblemError` if the question cannot be answered any more.
        """
        for event in self._source:
            told = self._told(event)
            if told is not None:
                yield told

    @property
    def last_event_id(self) -> str | None:
        """Names the answer that was told last."""
        return self._source.last_event_id

    @property
    def connections(self) -> int:
        """How often it has connected."""
        return self._source.connections

    def close(self) -> None:
        """Ends the iteration, also one that waits in another thread."""
        self._source.close()

    def __enter__(self) -> Watch[A]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _told(self, event: Event) -> Told[A] | None:
        body = Body.read(event.data, f"an event {event.kind}".rstrip())
        if event.kind == "":
            self.answer = self._question.read(body)
            self.as_of, self.problem = self.answer.as_of, None
            return Answered(self.answer)
        if event.kind == "fresh":
            self.as_of = body.instant("as_of")
            return Fresh(self.as_of)
        if event.kind == "problem":
            self.problem = problem_of(body, body.integer("status"))
            return Troubled(self.problem)
        if event.kind == "end" and body.has("problem"):
            problem = body.member("problem")
            raise problem_of(problem, problem.integer("status"))
        # It was too slow, or the process stops: the connection ends, and it connects again.
        return None
