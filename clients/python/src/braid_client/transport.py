"""HTTP to one serving layer, with the standard library alone.

Connections are kept and used again. A `GET` that is answered with 429 or 503 is sent again, after as long as the answer says, a few times at
most. Redirects are not followed, as that would send the key elsewhere, and proxies of the environment are not used.
"""

from __future__ import annotations

import gzip
import http.client
import json
import random
import socket
import ssl
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from .body import Body
from .errors import ProblemError, RateLimitedError, UnavailableError, UnreachableError, UnreadableError, class_of
from .written import Parameters

T = TypeVar("T")

EVENTS = "text/event-stream"
PROBLEM = "application/problem+json"
IDLE_MAX = 8
"""How many connections are kept while nothing is asked."""
FIRST_WAIT = 0.5
"""Seconds before a request is sent again, if the answer does not say; doubled each time."""
AGENT = "braid-client/0.1.0"


@dataclass(frozen=True)
class Response:
    """An answer."""

    status: int
    reason: str
    headers: http.client.HTTPMessage
    body: bytes


@dataclass(frozen=True)
class Limits:
    """How long, and how often."""

    timeout: float
    """Seconds that the platform may be silent."""
    retries: int
    """How often a request is sent again at most."""
    max_wait: float
    """For how many seconds a request is waited with in all."""


class Connected:
    """A connection on which lines come."""

    def __init__(
        self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse, sock: socket.socket
    ) -> None:
        self._connection, self._response, self._sock = connection, response, sock

    def line(self, most: int) -> bytes:
        """The next line with its end, or what came of it before the connection has ended."""
        try:
            return self._response.readline(most)
        except (OSError, http.client.HTTPException, ValueError):
            return b""

    def wake(self) -> None:
        """Ends it, also while another thread waits for a line."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # It has ended already.

    def close(self) -> None:
        self._response.close()
        self._connection.close()


class Transport:
    """Asks one serving layer. Threads may share it."""

    def __init__(
        self,
        url: str,
        api_key: str | None,
        limits: Limits,
        ssl_context: ssl.SSLContext | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{_without_user(url)!r} is no address: write it such as http://127.0.0.1:8080")
        if parts.username is not None or parts.password is not None:
            raise ValueError("the address names a user or a password: give the key as api_key instead")
        if parts.query or parts.fragment:
            raise ValueError(f"{url!r} has a query or a fragment: write the address alone, such as http://127.0.0.1:8080")
        self.url = url.rstrip("/")
        self.limits = limits
        self._host, self._port, self._prefix = parts.hostname, parts.port, parts.path.rstrip("/")
        self._ssl = (ssl_context or ssl.create_default_context()) if parts.scheme == "https" else None
        self._headers = {"User-Agent": AGENT}
        if api_key is not None:
            self._headers["Authorization"] = f"Bearer {_checked(api_key)}"
        self._sleep = sleep
        self._idle: deque[http.client.HTTPConnection] = deque()
        self._lock = threading.Lock()

    def get(self, path: str, parameters: Parameters = ()) -> Body:
        """The JSON object at a path."""
        target = self._target(path, parameters)
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip"}
        return self.retrying(lambda: self._object(self._sent("GET", target, headers, None), path))

    def post(self, path: str, parameters: Parameters, body: Any) -> Body:
        """The JSON object that answers a body. It is sent once."""
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip", "Content-Type": "application/json"}
        sent = self._sent("POST", self._target(path, parameters), headers, json.dumps(body).encode())
        return self._object(sent, path)

    def events(self, path: str, parameters: Parameters, last_event_id: str | None, silence: float) -> Connected:
        """A connection of its own on which events come; it ends after `silence` seconds without any."""
        headers = {**self._headers, "Accept": EVENTS, "Cache-Control": "no-cache"}
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        connection = self._connection()
        try:
            connection.connect()
            # An answer that ends with its connection takes this from there.
            sock = connection.sock
            connection.request("GET", self._target(path, parameters), headers=headers)
            response = connection.getresponse()
            kind = _kind(response.headers)
            if response.status != 200 or kind != EVENTS:
                body = _decoded(response, response.read())
                raise _problem(Response(response.status, response.reason, response.headers, body), self.url) or (
                    UnreadableError(f"{self.url}{path} sends {kind} and no events", "ask a serving layer of Braid")
                )
            sock.settimeout(silence)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self.unreachable(error) from error
        except BaseException:
            connection.close()
            raise
        return Connected(connection, response, sock)

    def retrying(self, ask: Callable[[], T]) -> T:
        """Asks again where that may help, within the limits."""
        waited = 0.0
        for attempt in range(self.limits.retries + 1):
            try:
                return ask()
            except (RateLimitedError, UnavailableError) as problem:
                asked_to = problem.retry_after
                wait = FIRST_WAIT * 2**attempt if asked_to is None else asked_to
                # Never earlier than it says, and not all clients in the same moment.
                wait *= random.uniform(1.0, 1.1)
                if attempt == self.limits.retries or waited + wait > self.limits.max_wait:
                    raise
                waited += wait
                self._sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def unreachable(self, error: Exception) -> UnreachableError:
        """What a failed connection means."""
        if isinstance(error, TimeoutError):
            what = f"{self.url} was silent for longer than the time-out"
            return UnreachableError(what, "give more time, as `Client(url, timeout=…)` in seconds, or ask for less")
        if isinstance(error, ssl.SSLError):
            return UnreachableError(f"{self.url}: {error}", "give the certificates to trust, as `Client(url, ssl_context=…)`")
        what = f"cannot reach {self.url}: {error or type(error).__name__}"
        return UnreachableError(what, "is the serving layer running, and is this its address (http.listen)?")

    def close(self) -> None:
        """Closes connections that are kept."""
        with self._lock:
            idle, self._idle = self._idle, deque()
        for connection in idle:
            connection.close()

    def _sent(self, method: str, target: str, headers: dict[str, str], body: bytes | None) -> Response:
        headers = {**self._headers, **headers}
        # What has been idle may be closed by now. So it may carry only what can be sent twice.
        kept = self._kept() if method == "GET" else None
        if kept is not None:
            try:
                return self._exchanged(kept, method, target, headers, body)
            except (ConnectionError, http.client.BadStatusLine):
                kept.close()
            except (OSError, http.client.HTTPException) as error:
                kept.close()
                raise self.unreachable(error) from error
        fresh = self._connection()
        try:
            return self._exchanged(fresh, method, target, headers, body)
        except (OSError, http.client.HTTPException) as error:
            fresh.close()
            raise self.unreachable(error) from error

    def _exchanged(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes | None,
    ) -> Response:
        try:
            connection.request(method, target, body=body, headers=headers)
            response = connection.getresponse()
            content = _decoded(response, response.read())
        except BaseException:
            connection.close()
            raise
        if response.will_close:
            connection.close()
        else:
            self._keep(connection)
        return Response(response.status, response.reason, response.headers, content)

    def _object(self, response: Response, path: str) -> Body:
        problem = _problem(response, self.url)
        if problem is not None:
            raise problem
        return Body.read(response.body, f"{self.url}{path}")

    def _target(self, path: str, parameters: Parameters) -> str:
        query = f"?{urlencode(parameters)}" if parameters else ""
        return f"{self._prefix}{path}{query}"

    def _connection(self) -> http.client.HTTPConnection:
        timeout = self.limits.timeout
        if self._ssl is not None:
            return http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=self._ssl)
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout)

    def _kept(self) -> http.client.HTTPConnection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _keep(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if len(self._idle) < IDLE_MAX:
                self._idle.append(connection)
                return
        connection.close()


def problem_of(body: Body, status: int, retry_after: float | None = None, request_id: str | None = None) -> ProblemError:
    """The problem that a problem document describes."""
    kind = (body.maybe_text("type") or "about:blank").rpartition(":")[2]
    return class_of(status, kind)(
        status,
        kind=kind,
        title=body.maybe_text("title") or f"status {status}",
        detail=body.maybe_text("detail") or "",
        parameter=body.maybe_text("parameter"),
        gaps=body.maybe_items("gaps"),
        retry_after=retry_after,
        request_id=request_id,
    )


def _problem(response: Response, url: str) -> ProblemError | None:
    if 200 <= response.status < 300:
        return None
    retry_after = _seconds(response.headers.get("Retry-After"))
    request_id = response.headers.get("X-Request-Id")
    if _kind(response.headers) == PROBLEM:
        try:
            return problem_of(Body.read(response.body, "the problem"), response.status, retry_after, request_id)
        except UnreadableError:
            pass  # What stands in front of it may write such documents in another way.
    elsewhere = response.headers.get("Location")
    if 300 <= response.status < 400 and elsewhere:
        detail = f"{url} redirects to {elsewhere}, which is not followed: give the address behind it"
    else:
        detail = f"{url} has answered without a problem document, as no serving layer does: is it one, or what stands in front of it?"
    return class_of(response.status, "")(
        response.status,
        kind="unknown",
        title=f"{response.status} {response.reason}".strip(),
        detail=detail,
        retry_after=retry_after,
        request_id=request_id,
    )


def _decoded(response: http.client.HTTPResponse, body: bytes) -> bytes:
    if response.headers.get("Content-Encoding", "identity").strip().lower() != "gzip":
        return body
    try:
        return gzip.decompress(body)
    except (OSError, EOFError, zlib.error) as error:
        raise http.client.HTTPException(f"the answer cannot be decompressed: {error}") from error


def _kind(headers: http.client.HTTPMessage) -> str:
    return headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _seconds(retry_after: str | None) -> float | None:
    """The seconds that `Retry-After` says, as a number or as a date."""
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return None


def _checked(api_key: str) -> str:
    """The key without the line's end that a file has. It is not shown."""
    key = api_key.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("api_key is empty, or has characters that no key has: give the line that `braid key new` prints as the key")
    return key


def _without_user(url: str) -> str:
    """An address as it may be shown."""
    return url.rpartition("@")[2]
