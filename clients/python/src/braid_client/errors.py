"""What goes wrong, and what to do about it.

Every error is a `BraidError`, whose `fix` says what to do. What the platform refuses is a `ProblemError`, read from its
`application/problem+json` (RFC 9457); its subclasses follow the status.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class BraidError(Exception):
    """Something went wrong. `str()` says what, and `fix` what to do."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.fix = fix


class UnreachableError(BraidError):
    """The platform cannot be reached, is silent for longer than `timeout`, or broke off."""


class UnreadableError(BraidError):
    """An answer is not what a serving layer sends."""


class ProblemError(BraidError):
    """The platform has answered with a problem.

    `detail` is the platform's own sentence: what is wrong, and what to do.
    """

    status: int
    """The HTTP status."""
    kind: str
    """The kind of problem as a word, such as `bad-parameter`."""
    title: str
    detail: str
    parameter: str | None
    """The parameter that has to change; of several questions, such as `queries[1].step`."""
    gaps: tuple[Mapping[str, Any], ...]
    """Why the answer is not complete, if a complete one was required; as the platform sent them."""
    retry_after: float | None
    """After how many seconds it may be tried again; `None` if that does not help."""
    request_id: str | None
    """Names the request in the platform's log."""

    def __init__(
        self,
        status: int,
        *,
        kind: str,
        title: str,
        detail: str,
        parameter: str | None = None,
        gaps: tuple[Mapping[str, Any], ...] = (),
        retry_after: float | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(f"{title}: {detail}" if detail else title, self._fix(detail))
        self.status = status
        self.kind = kind
        self.title = title
        self.detail = detail
        self.parameter = parameter
        self.gaps = gaps
        self.retry_after = retry_after
        self.request_id = request_id

    def _fix(self, detail: str) -> str:
        return detail


class BadRequestError(ProblemError):
    """400 and other mistakes of the request: a parameter is unknown, is repeated or has a value that cannot be used."""


class UnauthorizedError(ProblemError):
    """401: a key is needed, or is not known."""

    def _fix(self, detail: str) -> str:
        return "give the key, as `Client(url, api_key=…)`; `braid key new --scope read` makes one"


class ForbiddenError(ProblemError):
    """403: the key may not do this."""


class NotFoundError(ProblemError):
    """404: there is no such metric, stream, table, report, version or path."""


class RateLimitedError(ProblemError):
    """429: the key has made as many requests as it may."""


class ServerError(ProblemError):
    """5xx: the platform, or what stands in front of it, cannot answer."""


class UnavailableError(ServerError):
    """503: there is no answer now; trying again may help."""


class IncompleteError(UnavailableError):
    """503: a complete answer was required, and this one would lack what `gaps` says."""


def class_of(status: int, kind: str) -> type[ProblemError]:
    """The class of a problem."""
    if kind == "incomplete":
        return IncompleteError
    by_status: dict[int, type[ProblemError]] = {
        401: UnauthorizedError,
        403: ForbiddenError,
        404: NotFoundError,
        429: RateLimitedError,
        503: UnavailableError,
    }
    if status in by_status:
        return by_status[status]
    return ServerError if status >= 500 else BadRequestError
