"""Server-sent events, as the HTML standard defines them, from a server that a client connects to again and again."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from .errors import RateLimitedError, UnavailableError, UnreachableError, UnreadableError
from .transport import Connected, Transport
from .written import Parameters

LINE_MAX = 64 * 1024 * 1024
"""The longest line of an event; an answer is one."""
BACKOFF_MAX = 30.0
"""Seconds between two attempts to connect again, at most."""


@dataclass(frozen=True)
class Event:
    """An event."""

    kind: str
    """Its name; empty if it has none."""
    data: str


class Reader:
    """Puts events together from lines."""

    def __init__(self, last_event_id: str | None = None) -> None:
        self.last_event_id = last_event_id
        self.retry = 1.0
        """Seconds that the server asks to wait before one connects again."""
        self.begin()

    def begin(self) -> None:
        """Forgets half an event, as a connection begins."""
        self._kind, self._data, self._id = "", list[str](), self.last_event_id

    def line(self, line: str) -> Event | None:
        """Takes a line without its end; gives the event that it ends."""
        if not line:
            # An id counts once its event is whole, also if it has no data.
            self.last_event_id = self._id
            event = Event(self._kind, "\n".join(self._data)) if self._data else None
            self.begin()
            return event
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._kind = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdecimal():
            self.retry = int(value) / 1_000
        return None


class EventSource:
    """The events of a path.

    Iterating connects, and connects again when the connection ends or is silent for `silence` seconds, from the event on that was taken last.
    Before the first connection stands, errors are raised as those of any request; later, those that may pass are waited for, for
    `give_up_after` seconds at most.
    """

    def __init__(
        self,
        transport: Transport,
        path: str,
        parameters: Parameters,
        *,
        last_event_id: str | None = None,
        silence: float = 45.0,
        give_up_after: float | None = None,
    ) -> None:
        self._transport, self._path, self._parameters = transport, path, parameters
        self._silence, self._give_up_after = silence, give_up_after
        self._reader = Reader(last_event_id)
        self._lock = threading.Lock()
        self._open: Connected | None = None
        self._closed = threading.Event()
        self.connections = 0
        """How often it has connected."""

    @property
    def last_event_id(self) -> str | None:
        """Where it is: the id of the last event."""
        return self._reader.last_event_id

    def close(self) -> None:
        """Ends the iteration, also one that waits in another thread."""
        self._closed.set()
        with self._lock:
            if self._open is not None:
                self._open.wake()

    def __iter__(self) -> Iterator[Event]:
        failures, heard = 0, time.monotonic()
        while not self._closed.is_set():
            try:
                connection = self._connected()
            except (UnreachableError, RateLimitedError, UnavailableError) as error:
                if self.connections == 0:
                    raise
                wait = max(self._reader.retry, getattr(error, "retry_after", None) or 0.0)
                wait = max(wait, min(BACKOFF_MAX, self._reader.retry * 2**failures))
                failures += 1
                if self._give_up_after is not None and time.monotonic() + wait - heard > self._give_up_after:
                    raise
                self._closed.wait(wait)
                continue
            try:
                for event in self._read(connection):
                    failures, heard = 0, time.monotonic()
                    yield event
            finally:
                with self._lock:
                    self._open = None
                connection.close()
            self._closed.wait(self._reader.retry)

    def _connected(self) -> Connected:
        def connect() -> Connected:
            return self._transport.events(self._path, self._parameters, self.last_event_id, self._silence)

        connection = self._transport.retrying(connect) if self.connections == 0 else connect()
        with self._lock:
            self._open = connection
        self.connections += 1
        self._reader.begin()
        return connection

    def _read(self, connection: Connected) -> Iterator[Event]:
        """The events of one connection, until it ends."""
        while not self._closed.is_set():
            line = connection.line(LINE_MAX + 1)
            if not line.endswith(b"\n"):
                if len(line) > LINE_MAX:
                    raise UnreadableError(f"an event has more than {LINE_MAX} bytes", "watch fewer keys at once")
                return
            try:
                text = line.decode().removesuffix("\n").removesuffix("\r")
            except UnicodeDecodeError as error:
                raise UnreadableError(f"an event is no UTF-8: {error}", "ask a serving layer of Braid") from error
            event = self._reader.line(text)
            if event is not None:
                yield event


