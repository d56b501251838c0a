"""How questions are written."""

from __future__ import annotations

import unittest
from datetime import date, datetime, timedelta, timezone

from braid_client import Question
from braid_client.written import KeysAsked, columns, day, length, moment


class Written(unittest.TestCase):
    def test_columns_have_one_value_several_or_none(self) -> None:
        at = datetime(2026, 4, 24, 11, 30, tzinfo=timezone(timedelta(hours=2)))
        key: KeysAsked = {"page": "a b", "code": 7, "ok": True, "seen": at, "url": None, "video": ["v1", "v2"]}
        self.assertEqual(
            columns(key),
            (
                ("page", "a b"),
                ("code", "7"),
                ("ok", "true"),
                ("seen", "2026-04-24T09:30:00Z"),
                ("url.missing", "true"),
                ("video", "v1"),
                ("video", "v2"),
            ),
        )
        self.assertEqual(columns(None), ())
        with self.assertRaisesRegex(ValueError, "video has no values"):
            columns({"video": []})

    def test_instants_have_zones(self) -> None:
        self.assertEqual(moment("-24h"), "-24h")
        self.assertEqual(moment(datetime(2026, 4, 24, microsecond=5, tzinfo=timezone.utc)), "2026-04-24T00:00:00.000005Z")
        self.assertIsNone(moment(None))
        with self.assertRaisesRegex(ValueError, "has no zone"):
            moment(datetime(2026, 4, 24))

    def test_lengths_and_days(self) -> None:
        self.assertEqual([length("1mo"), length(timedelta(minutes=5)), length(None)], ["1mo", "300s", None])
        for wrong in (timedelta(0), timedelta(seconds=-1), timedelta(milliseconds=1_500)):
            with self.assertRaisesRegex(ValueError, "whole number of seconds"):
                length(wrong)
        self.assertEqual([day("2026-04-24"), day(date(2026, 4, 24))], ["2026-04-24", "2026-04-24"])
        with self.assertRaises(TypeError):
            day(datetime(2026, 4, 24, tzinfo=timezone.utc))

    def test_a_question_is_the_same_in_a_path_and_among_others(self) -> None:
        question = Question.series(
            "a/b", {"video": ["1", "2"]}, step="1h", start="-1h", end="now", tz="Europe/Berlin", window=timedelta(hours=2)
        )
        self.assertEqual(question.path, "/v1/metrics/a%2Fb/series")
        self.assertEqual(
            question.as_query(),
            {
                "metric": "a/b",
                "answer": "series",
                "parameters": {
                    "video": ["1", "2"],
                    "from": ["-1h"],
                    "to": ["now"],
                    "step": ["1h"],
                    "tz": ["Europe/Berlin"],
                    "window": ["7200s"],
                },
            },
        )
        top = Question.top("m", by=["a", "b"], measure="x", limit=3, require_complete=True)
        self.assertEqual(top.parameters, (("require", "complete"), ("by", "a,b"), ("measure", "x"), ("limit", "3")))
        keys = Question.keys("m", {"a": "1"}, by="b", prefix="x", after="x1")
        self.assertEqual(keys.parameters, (("a", "1"), ("by", "b"), ("prefix", "x"), ("after", "x1")))
