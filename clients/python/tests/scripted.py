"""A server that answers as a test says, for what a platform does not do on request: it is slow, breaks off, or answers otherwise."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

Reply = Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True)
class Asked:
    """A request that has come."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: tuple[str, int]
    """From where it came."""


@dataclass
class Scripted:
    """Answers one reply after the other; the last one again and again."""

    replies: deque[Reply] = field(default_factory=deque)
    asked: list[Asked] = field(default_factory=list)

    def __enter__(self) -> Scripted:
        script = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                headers = {name.lower(): value for name, value in self.headers.items()}
                script.asked.append(Asked(self.command, self.path, headers, body, self.client_address))
                reply = script.replies.popleft() if len(script.replies) > 1 else script.replies[0]
                try:
                    reply(self)
                except ConnectionError:
                    self.close_connection = True

            do_GET = do_POST = handle_any

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def then(self, *replies: Reply) -> Scripted:
        """Adds replies."""
        self.replies.extend(replies)
        return self


def sends(status: int, body: bytes, kind: str = "application/json", **headers: str) -> Reply:
    """A whole answer. `Retry_After` stands for `Retry-After`."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return reply


def answers(body: Any) -> Reply:
    """JSON."""
    return sends(200, json.dumps(body).encode())


def problem(status: int, kind: str, detail: str, *, parameter: str | None = None, **headers: str) -> Reply:
    """A problem document, as the platform writes it."""
    body = {"type": f"urn:braid:problem:{kind}", "title": "A title", "status": status, "detail": detail}
    if parameter is not None:
        body["parameter"] = parameter
    return sends(status, json.dumps(body).encode(), "application/problem+json", **headers)


def closes(handler: BaseHTTPRequestHandler) -> None:
    """Closes the connection without a word."""
    handler.close_connection = True


def streams(*lines: str, until: threading.Event | None = None) -> Reply:
    """Events, in the lines given; then the connection ends, once `until` is set."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for line in lines:
            chunk = f"{line}\n".encode()
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        handler.wfile.flush()
        if until is not None:
            until.wait(30)
        handler.wfile.write(b"0\r\n\r\n")
        handler.close_connection = True

    return reply


def total(views: int, as_of: str = "2026-04-24T09:30:00Z") -> dict[str, Any]:
    """An answer to `total`."""
    values = {"views": views}
    return {
        "version": "v1",
        "metric": "views",
        "key": {"video_id": "v"},
        "from": None,
        "to": None,
        "grain": "1m",
        "values": values,
        "complete": True,
        "gaps": [],
        "authoritative": False,
        "as_of": as_of,
        "provenance": {
            "batch": {"values": {"views": 0}, "version": None, "committed_at": None},
            "speed": {"values": values, "lag_ms": 7},
        },
    }
