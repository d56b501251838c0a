"""Answers as rows and data frames."""

from __future__ import annotations

import sys
import unittest
from datetime import datetime, timezone
from importlib.util import find_spec
from unittest import mock

from braid_client import Series, Total
from braid_client.body import Body

from .scripted import total

START = datetime(2026, 4, 24, tzinfo=timezone.utc)


def series() -> Series:
    """A series of two keys, whose first values are null."""
    body = total(0)
    del body["key"], body["values"]

    def of(video: str, views: list[int | None]) -> dict[str, object]:
        points = [
            {"start": f"2026-04-24T0{at}:00:00Z", "end": f"2026-04-24T0{at + 1}:00:00Z", "values": {"views": value}, "layer": "both"}
            for at, value in enumerate(views)
        ]
        return {"key": {"video_id": video}, "points": points, "authoritative": False}

    return Series.of(Body({**body, "step": "1h", "tz": "UTC", "keys": [of("a", [None, 2**62]), of("b", [7])]}, "a series"))


class Frames(unittest.TestCase):
    def test_rows_have_columns_times_values_and_layer(self) -> None:
        rows = series().rows_flat()
        self.assertEqual(list(rows[0]), ["video_id", "start", "end", "views", "layer"])
        self.assertEqual([(row["video_id"], row["views"]) for row in rows], [("a", None), ("a", 2**62), ("b", 7)])
        self.assertEqual(rows[0]["start"], START)
        answer = Total.of(Body(total(3), "a total"))
        self.assertEqual(answer.rows_flat(), [{"video_id": "v", "views": 3, "authoritative": False}])

    def test_what_is_of_one_key_is_not_said_of_several(self) -> None:
        with self.assertRaisesRegex(ValueError, "about 2 keys"):
            series().points

    @unittest.skipUnless(find_spec("polars"), "Polars is not installed")
    def test_polars(self) -> None:
        frame = series().to_polars()
        self.assertEqual(frame.columns, ["video_id", "start", "end", "views", "layer"])
        self.assertEqual(frame["views"].to_list(), [None, 2**62, 7])
        self.assertEqual(frame["start"].to_list()[0], START)

    @unittest.skipUnless(find_spec("pandas"), "pandas is not installed")
    def test_pandas(self) -> None:
        frame = series().to_pandas()
        self.assertEqual(list(frame.columns), ["video_id", "start", "end", "views", "layer"])
        self.assertEqual(frame["start"].iloc[0].to_pydatetime(), START)
        self.assertEqual(frame["views"].iloc[2], 7)
        self.assertEqual(int(frame["views"].iloc[1]), 2**62)

    def test_a_package_that_is_missing_is_named(self) -> None:
        for name in ("pandas", "polars"):
            with self.subTest(name=name), mock.patch.dict(sys.modules, {name: None}):
                with self.assertRaisesRegex(ModuleNotFoundError, rf"pip install 'braid-client\[{name}\]'"):
                    getattr(series(), f"to_{name}")()
