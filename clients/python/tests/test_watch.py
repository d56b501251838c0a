"""How events are read, and how a client goes on after a connection has ended."""

from __future__ import annotations

import json
import threading
import time
import unittest
from typing import Any

from braid_client import (
    Answered,
    Client,
    Fresh,
    Missed,
    NotFoundError,
    Output,
    Question,
    Troubled,
    UnavailableError,
    UnreachableError,
    VersionTold,
)
from braid_client.events import Event, Reader

from .scripted import Reply, Scripted, closes, problem, sends, streams, total

SOON = "retry: 10"


def told(views: int, id: str) -> list[str]:
    """The lines of an answer."""
    return [f"id: {id}", f"data: {json.dumps(total(views))}", ""]


def says(kind: str, data: Any, id: str | None = None) -> list[str]:
    """The lines of another event."""
    return [f"event: {kind}", *([] if id is None else [f"id: {id}"]), f"data: {json.dumps(data)}", ""]


def live(*events: list[str], until: threading.Event | None = None) -> Reply:
    return streams(SOON, "", *(line for event in events for line in event), until=until)


class Read(unittest.TestCase):
    def test_events_are_read_as_the_standard_says(self) -> None:
        reader = Reader()
        lines = [":", "retry: 250", "retry: x", "id: 1", "data: one", "data:two", "data", "", "event: fresh", "data: x", ""]
        self.assertEqual([event for line in lines if (event := reader.line(line))], [Event("", "one\ntwo\n"), Event("fresh", "x")])
        self.assertEqual((reader.last_event_id, reader.retry), ("1", 0.25))

    def test_an_id_counts_once_its_event_is_whole_and_without_data_too(self) -> None:
        reader = Reader("0")
        self.assertIsNone(reader.line("id: 1"))
        self.assertEqual(reader.last_event_id, "0")
        reader.begin()
        self.assertIsNone(reader.line(""))
        self.assertEqual(reader.last_event_id, "0", "the connection ended within the event")
        self.assertIsNone(reader.line("id: 2") or reader.line(""))
        self.assertEqual(reader.last_event_id, "2")
        reader.line("id: 3\0")
        reader.line("")
        self.assertEqual(reader.last_event_id, "2")


class Watched(unittest.TestCase):
    def test_it_goes_on_where_it_was(self) -> None:
        half = [f"id: c", f"data: {json.dumps(total(9))}"]
        busy = problem(503, "too-many-watchers", "256 clients watch already")
        end = threading.Event()
        with Scripted().then(live(told(1, "a"), told(2, "b"), half), closes, busy, live(told(3, "c"), until=end)) as script:
            with Client(script.url).watch(Question.total("views", {"video_id": "v"})) as watch:
                found = []
                for answer in watch:
                    found.append(answer.values["views"])
                    if found[-1] == 3:
                        break
            end.set()
            self.assertEqual(found, [1, 2, 3], "half an event is none")
            self.assertEqual([asked.headers.get("last-event-id") for asked in script.asked], [None, "b", "b", "b"])
            self.assertEqual({asked.headers["accept"] for asked in script.asked}, {"text/event-stream"})
            self.assertEqual((watch.last_event_id, watch.connections), ("c", 2))

    def test_it_tells_how_matters_stand(self) -> None:
        no_redis = {"type": "urn:braid:problem:redis-unavailable", "title": "T", "status": 503, "detail": "no redis"}
        behind = {"reason": "behind", "missed": 7, "text": "connect again"}
        first = live(
            told(1, "a"), says("fresh", {"as_of": "2026-04-24T09:30:05Z"}), says("problem", no_redis), told(1, "a"), says("dropped", behind)
        )
        gone = {"type": "urn:braid:problem:version-retired", "title": "T", "status": 404, "detail": "v1 is retired"}
        last = live(told(2, "b"), says("end", {"reason": "refused", "problem": gone}))
        with Scripted().then(first, live(says("end", {"reason": "shutdown"})), last) as script:
            watch, kinds = Client(script.url).watch(Question.total("views")), []
            with self.assertRaisesRegex(NotFoundError, "v1 is retired"):
                for event in watch.told():
                    kinds.append(type(event))
                    if isinstance(event, Fresh):
                        self.assertEqual(event.as_of.second, 5)
                        self.assertEqual(watch.as_of, event.as_of)
                    if isinstance(event, Troubled):
                        self.assertIs(watch.problem, event.problem)
                        self.assertEqual(event.problem.kind, "redis-unavailable")
                    if isinstance(event, Answered):
                        self.assertIsNone(watch.problem)
            self.assertEqual(kinds, [Answered, Fresh, Troubled, Answered, Answered])

    def test_what_is_wrong_from_the_beginning_is_raised(self) -> None:
        with Scripted().then(problem(404, "unknown-metric", "there is no metric")) as script:
            with self.assertRaises(NotFoundError):
                next(iter(Client(script.url).watch(Question.total("vews"))))
        with Scripted().then(problem(503, "too-many-questions", "64 are watched", Retry_After="1")) as script:
            with self.assertRaises(UnavailableError):
                next(iter(Client(script.url, retries=0).watch(Question.total("views"))))
        with Scripted().then(sends(200, b"{}")) as script, self.assertRaisesRegex(Exception, "no events"):
            next(iter(Client(script.url).watch(Question.total("views"))))
        with self.assertRaises(UnreachableError):
            next(iter(Client(script.url).watch(Question.total("views"))))

    def test_what_becomes_impossible_later_is_raised(self) -> None:
        with Scripted().then(live(told(1, "a")), problem(404, "version-retired", "retired")) as script:
            answers = iter(Client(script.url).watch(Question.total("views")))
            self.assertEqual(next(answers).values["views"], 1)
            with self.assertRaises(NotFoundError):
                next(answers)

    def test_it_gives_up_if_it_is_told_to(self) -> None:
        with Scripted().then(live(told(1, "a")), closes) as script:
            answers = iter(Client(script.url).watch(Question.total("views"), give_up_after=0.3))
            self.assertEqual(next(answers).values["views"], 1)
            with self.assertRaises(UnreachableError):
                next(answers)
            self.assertGreater(len(script.asked), 2)

    def test_a_silent_connection_is_left(self) -> None:
        end = threading.Event()
        with Scripted().then(live(told(1, "a"), until=end), live(told(2, "b"), until=end)) as script:
            answers = iter(Client(script.url).watch(Question.total("views"), silence=0.2))
            self.assertEqual([next(answers).values["views"], next(answers).values["views"]], [1, 2])
            end.set()

    def test_another_thread_ends_it(self) -> None:
        end = threading.Event()
        with Scripted().then(live(told(1, "a"), until=end)) as script:
            watch, found = Client(script.url).watch(Question.total("views")), list[int]()

            def take() -> None:
                found.extend(answer.values["views"] for answer in watch)

            taker = threading.Thread(target=take)
            taker.start()
            deadline = time.monotonic() + 10
            while not found and time.monotonic() < deadline and watch.answer is None:
                time.sleep(0.01)
            watch.close()
            taker.join(10)
            self.assertFalse(taker.is_alive(), "it still waits for events")
            self.assertEqual((found, len(script.asked)), ([1], 1))
            end.set()


class Followed(unittest.TestCase):
    def test_outputs_come_with_what_is_missing_between_them(self) -> None:
        version = says("version", {"version": "v1", "topic": "alerts"})
        output = [["id: L:1", 'data: {"n": 1}', ""], ["id: L:2", 'data: {"n": 2}', ""]]
        gap = {"reason": "lost", "text": "gone", "source": "alerts", "log": "L", "partition": 0, "from": None, "to": None}
        first = live(version, output[0], ["id: L:9", ""])
        with Scripted().then(first, live(version, says("gap", gap, "L:12"), output[1])) as script:
            follow = Client(script.url).follow("alerts", {"user": "u-7"}, last_event_id="L:0")
            found = []
            for followed in follow:
                found.append(followed)
                if len(found) == 4:
                    break
            self.assertEqual((found[0], found[1], found[3]), (VersionTold("v1", "alerts"), Output({"n": 1}), Output({"n": 2})))
            assert isinstance(found[2], Missed)
            self.assertEqual((found[2].gap.reason, found[2].gap.partition), ("lost", 0))
            self.assertEqual([asked.headers["last-event-id"] for asked in script.asked], ["L:0", "L:9"])
            self.assertEqual(script.asked[0].target, "/v1/streams/alerts?user=u-7")
