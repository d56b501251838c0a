"""What a client does about answers that are none, on a real connection."""

from __future__ import annotations

import gzip
import json
import time
import unittest
from email.utils import formatdate
from typing import Any

from braid_client import (
    BadRequestError,
    Client,
    ForbiddenError,
    IncompleteError,
    NotFoundError,
    ProblemError,
    Question,
    RateLimitedError,
    ServerError,
    UnauthorizedError,
    UnavailableError,
    UnreachableError,
    UnreadableError,
)

from .scripted import Scripted, answers, closes, problem, sends, total

KEY = "braid_secret_4f"


class Transport(unittest.TestCase):
    def asks(self, script: Scripted, **options: Any) -> tuple[Client, list[float]]:
        """A client that notes for how long it would wait, and does not."""
        client, waits = Client(script.url, **options), list[float]()
        client._transport._sleep = waits.append
        self.addCleanup(client.close)
        return client, waits

    def test_it_waits_as_long_as_it_is_told_and_asks_again(self) -> None:
        busy = problem(503, "starting", "still loading", Retry_After="2")
        often = problem(429, "too-many-requests", "ask again in 3 s", Retry_After="3")
        with Scripted().then(busy, often, answers(total(4))) as script:
            client, waits = self.asks(script)
            self.assertEqual(client.total("views").values["views"], 4)
            self.assertEqual(len(script.asked), 3)
            self.assertTrue(2 <= waits[0] <= 2.2 and 3 <= waits[1] <= 3.3, waits)

    def test_it_gives_up_after_so_many_and_so_long(self) -> None:
        with Scripted().then(problem(503, "redis-unavailable", "no redis", Retry_After="1")) as script:
            client, waits = self.asks(script, retries=2)
            with self.assertRaises(UnavailableError) as raised:
                client.total("views")
            self.assertEqual((len(script.asked), len(waits)), (3, 2))
            self.assertEqual((raised.exception.kind, raised.exception.retry_after), ("redis-unavailable", 1))
        with Scripted().then(problem(429, "too-many-requests", "wait", Retry_After="60")) as script:
            client, waits = self.asks(script, max_wait=30)
            with self.assertRaises(RateLimitedError) as limited:
                client.total("views")
            self.assertEqual((len(script.asked), waits), (1, []))
            self.assertEqual(limited.exception.retry_after, 60)

    def test_without_a_wait_it_waits_longer_each_time_and_a_date_is_one(self) -> None:
        with Scripted().then(problem(503, "starting", "loading")) as script:
            client, waits = self.asks(script)
            with self.assertRaises(UnavailableError):
                client.status()
            self.assertTrue(0.5 <= waits[0] < 1 <= waits[1] < 2 <= waits[2], waits)
        later = formatdate(time.time() + 20, usegmt=True)
        with Scripted().then(problem(503, "starting", "loading", Retry_After=later)) as script:
            client, _ = self.asks(script, retries=0)
            with self.assertRaises(UnavailableError) as raised:
                client.status()
            self.assertTrue(15 < (raised.exception.retry_after or 0) <= 20, raised.exception.retry_after)

    def test_several_questions_are_sent_once(self) -> None:
        with Scripted().then(problem(503, "starting", "loading", Retry_After="1")) as script:
            client, waits = self.asks(script)
            with self.assertRaises(UnavailableError):
                client.query(Question.total("views"))
            self.assertEqual((len(script.asked), waits), (1, []))
            self.assertEqual(script.asked[0].method, "POST")

    def test_problems_are_typed_and_say_what_to_do(self) -> None:
        for status, kind, expected in [
            (400, "bad-parameter", BadRequestError),
            (401, "no-key", UnauthorizedError),
            (403, "forbidden", ForbiddenError),
            (404, "unknown-metric", NotFoundError),
            (413, "body-too-large", BadRequestError),
            (500, "internal", ServerError),
            (503, "incomplete", IncompleteError),
        ]:
            reply = problem(status, kind, "x is wrong: write y", parameter="step", X_Request_Id="r-1")
            with self.subTest(kind=kind), Scripted().then(reply) as script:
                client, _ = self.asks(script, retries=0)
                with self.assertRaises(ProblemError) as raised:
                    client.total("views")
                error = raised.exception
                self.assertIs(type(error), expected)
                self.assertEqual((error.status, error.kind, error.parameter), (status, kind, "step"))
                self.assertEqual((error.detail, error.request_id), ("x is wrong: write y", "r-1"))
                self.assertIn("api_key=" if status == 401 else "write y", error.fix)
                self.assertIn("x is wrong", str(error))

    def test_what_is_no_serving_layer_is_said(self) -> None:
        with Scripted().then(sends(502, b"<html>", "text/html")) as script:
            client, _ = self.asks(script)
            with self.assertRaisesRegex(ServerError, "without a problem document"):
                client.status()
        for body in (b"<html>", b"[]", b"{}", json.dumps({**total(1), "values": 7}).encode()):
            with self.subTest(body=body), Scripted().then(sends(200, body)) as script:
                client, _ = self.asks(script)
                with self.assertRaises(UnreadableError) as raised:
                    client.total("views")
                self.assertTrue(raised.exception.fix)

    def test_a_redirect_is_not_followed(self) -> None:
        with Scripted().then(answers(total(1))) as elsewhere:
            redirect = sends(302, b"", Location=f"{elsewhere.url}/v1/metrics/views/total")
            with Scripted().then(redirect) as script:
                client, _ = self.asks(script, api_key=KEY)
                with self.assertRaisesRegex(ProblemError, "redirects to"):
                    client.total("views")
            self.assertEqual(elsewhere.asked, [], "nobody else may get the key")

    def test_a_key_is_sent_and_never_shown(self) -> None:
        with Scripted().then(problem(401, "unknown-key", "this key is not known")) as script:
            client, _ = self.asks(script, api_key=f"{KEY}\n")
            with self.assertRaises(UnauthorizedError) as raised:
                client.status()
            self.assertEqual(script.asked[0].headers["authorization"], f"Bearer {KEY}")
            for shown in (repr(client), str(raised.exception), repr(raised.exception), raised.exception.fix):
                self.assertNotIn(KEY, shown)
        for wrong in ("", " ", f"{KEY}\r\nx: y", f"{KEY} {KEY}", "schlüssel"):
            with self.subTest(wrong=wrong), self.assertRaisesRegex(ValueError, "api_key") as refused:
                Client("http://127.0.0.1:1", wrong)
            self.assertNotIn(KEY, str(refused.exception))

    def test_an_address_is_checked(self) -> None:
        for url in ("127.0.0.1:8080", "ftp://h", "http://", "http://u:secret@h", "u:secret@h", "http://h/?a=b"):
            with self.subTest(url=url), self.assertRaises(ValueError) as refused:
                Client(url)
            self.assertNotIn("secret", str(refused.exception))

    def test_a_path_before_the_api_is_kept(self) -> None:
        with Scripted().then(answers(total(1))) as script:
            with Client(f"{script.url}/braid/", version="v2") as client:
                client.total("views", {"video_id": "a&b"}, start="-1h")
            self.assertEqual(
                script.asked[0].target, "/braid/v1/metrics/views/total?video_id=a%26b&from=-1h&version=v2"
            )

    def test_answers_may_be_compressed(self) -> None:
        body = gzip.compress(json.dumps(total(5)).encode())
        with Scripted().then(sends(200, body, Content_Encoding="gzip"), sends(200, body[:-9], Content_Encoding="gzip")) as script:
            client, _ = self.asks(script)
            self.assertEqual(client.total("views").values["views"], 5)
            self.assertEqual(script.asked[0].headers["accept-encoding"], "gzip")
            with self.assertRaises(UnreachableError):
                client.total("views")

    def test_connections_are_used_again_and_a_closed_one_is_replaced(self) -> None:
        with Scripted().then(answers(total(1)), answers(total(2)), closes, answers(total(3))) as script:
            client, _ = self.asks(script)
            self.assertEqual([client.total("views").values["views"] for _ in range(3)], [1, 2, 3])
            places = [asked.connection for asked in script.asked]
            self.assertEqual(places[0], places[1])
            self.assertEqual((places[1], len(places)), (places[2], 4), "the third found it closed, and was sent again")
            self.assertNotEqual(places[2], places[3])

    def test_a_new_connection_that_is_closed_is_an_error(self) -> None:
        with Scripted().then(closes) as script:
            client, _ = self.asks(script)
            with self.assertRaisesRegex(UnreachableError, "cannot reach"):
                client.total("views")
            self.assertEqual(len(script.asked), 1)

    def test_nobody_listens_or_answers(self) -> None:
        with Scripted().then(answers({})) as script:
            url = script.url
        with self.assertRaises(UnreachableError) as raised:
            Client(url).status()
        self.assertIn("http.listen", raised.exception.fix)
        with Scripted().then(lambda handler: time.sleep(1)) as script, self.assertRaisesRegex(UnreachableError, "silent"):
            Client(script.url, timeout=0.1).status()
