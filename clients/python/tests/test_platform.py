"""A running platform is asked, and everything it answers is held against what was sent to it."""

from __future__ import annotations

import unittest
from datetime import datetime, timedelta
from typing import ClassVar
from zoneinfo import ZoneInfo

from braid_client import (
    BadRequestError,
    Client,
    Missed,
    NotFoundError,
    Output,
    Question,
    VersionTold,
)

from .platform import Counts, Platform, platform
from .relay import Relay

METRIC = "views"
STREAM = "fraud_alerts"
OUTPUTS = 12
"""How many outputs are followed at least; a third of the way and two thirds of it, the connection is cut."""
CHANGES = 6
SILENCE = 40.0
"""Something happens all the time, so nothing is silent for so long."""


class Asked(unittest.TestCase):
    sent: ClassVar[Platform]
    braid: ClassVar[Client]

    @classmethod
    def setUpClass(cls) -> None:
        cls.sent = platform()
        cls.braid = Client(cls.sent.url)
        cls.addClassCleanup(cls.braid.close)

    def test_totals_are_what_was_sent(self) -> None:
        names = sorted(self.sent.videos)
        for at in range(0, len(names), 50):
            asked = names[at : at + 50]
            answer = self.braid.total(METRIC, {"video_id": asked}, require_complete=True)
            found = {of.key["video_id"]: Counts(of.values["views"], of.values["dwell_ms"]) for of in answer.keys}
            self.assertEqual(found, {video: self.sent.videos[video] for video in asked})
            self.assertTrue(answer.complete and answer.as_of and not answer.gaps)
        one = self.braid.total(METRIC, {"video_id": names[0]})
        counts = self.sent.videos[names[0]]
        self.assertEqual((one.values["views"], one.key), (counts.views, {"video_id": names[0]}))
        self.assertEqual(one.keys[0].batch["views"] + one.keys[0].speed["views"], counts.views)
        self.assertGreater(one.keys[0].batch["views"], 0, "a reconcile came between")
        self.assertIsNotNone(one.batch_version)
        if counts.views:
            self.assertAlmostEqual(one.values["avg_dwell_ms"], counts.dwell_ms / counts.views)
        in_all = self.braid.total(METRIC).values["views"]
        self.assertGreaterEqual(in_all, sum(counts.views for counts in self.sent.videos.values()))

    def test_a_series_adds_up_whatever_its_steps(self) -> None:
        video = max(self.sent.videos, key=lambda video: self.sent.videos[video].views)
        end = datetime.fromisoformat(self.sent.hour) + timedelta(hours=1)
        start = end - timedelta(days=5)
        expected = self.braid.total(METRIC, {"video_id": video}, start=start, end=end).values["views"]
        self.assertGreater(expected, 0)
        hours = self.braid.series(METRIC, {"video_id": video}, step=timedelta(hours=1), start=start, end=end)
        self.assertEqual((len(hours.points), hours.points[0].start), (120, start))
        self.assertEqual(sum(point.values["views"] for point in hours.points), expected)
        windows = self.braid.series(
            METRIC, {"video_id": video}, step="1h", window=timedelta(days=5), start=start, end=end, tz="UTC"
        )
        self.assertEqual((windows.tz, windows.points[-1].end), ("UTC", end))
        self.assertEqual(windows.points[-1].values["views"], expected)
        days = self.braid.series(METRIC, {"video_id": video}, step="1d", tz="Europe/Berlin")
        self.assertEqual(sum(point.values["views"] for point in days.points), self.sent.videos[video].views)
        self.assertEqual(days.points[0].start.astimezone(ZoneInfo("Europe/Berlin")).hour, 0)
        two = self.braid.series(METRIC, {"video_id": [video, "nobody"]}, step="1d", start=start, end=end)
        self.assertEqual([of.key["video_id"] for of in two.keys], [video, "nobody"])

    def test_the_largest_keys_are_in_order(self) -> None:
        for measure in ("views", "dwell_ms"):
            top = self.braid.top(METRIC, measure=measure, limit=len(self.sent.videos) + 1, require_complete=True)
            found = [(row.key["video_id"], row.values[measure]) for row in top.rows if row.key["video_id"] != self.sent.watched]
            expected = sorted(
                ((video, getattr(counts, measure)) for video, counts in self.sent.videos.items() if counts.views),
                key=lambda pair: (-pair[1], pair[0]),
            )
            self.assertEqual(found, expected)
            self.assertEqual((top.by, top.measure), (("video_id",), measure))
            self.assertIn(top.ranked - len(expected), (0, 1), "the one that is watched comes to them")

    def test_keys_are_listed_page_by_page(self) -> None:
        expected = sorted(video for video, counts in self.sent.videos.items() if counts.views)
        found = list(self.braid.all_keys(METRIC, page=7, prefix="video-"))
        self.assertEqual(found, expected)
        page = self.braid.keys(METRIC, prefix="video-", limit=2, after=expected[0])
        self.assertEqual((page.keys, page.more, page.by), (tuple(expected[1:3]), True, "video_id"))

    def test_several_questions_have_one_request(self) -> None:
        video = min(self.sent.videos)
        total, series, top = self.braid.query(
            Question.total(METRIC, {"video_id": video}),
            Question.series(METRIC, {"video_id": video}, step="1h", start="-2h"),
            Question.top(METRIC, limit=1),
        )
        self.assertEqual(total.values["views"], self.sent.videos[video].views)
        self.assertIn(len(series.points), (2, 3))
        self.assertEqual(len(top.rows), 1)
        with self.assertRaises(BadRequestError) as raised:
            self.braid.query(Question.total(METRIC), Question.series(METRIC, step="7s"))
        self.assertEqual(raised.exception.parameter, "queries[1].step")

    def test_what_there_is(self) -> None:
        metrics = {metric.name: metric for metric in self.braid.metrics()}
        self.assertEqual([column.name for column in metrics[METRIC].by], ["video_id"])
        self.assertEqual(set(metrics[METRIC].measures), {"views", "dwell_ms"})
        (stream,) = self.braid.streams()
        self.assertEqual((stream.name, stream.kind, stream.source), (STREAM, "detect", "transactions"))
        (table,) = self.braid.tables()
        self.assertEqual((table.name, table.key), ("users", "user_id"))
        status = self.braid.status()
        self.assertTrue(status.ok, status.dependencies)
        versions = self.braid.versions()
        self.assertEqual((versions.active, status.version), ("v1", "v1"))
        self.assertTrue(versions.versions[0].active)
        self.assertEqual(self.braid.of_version("v1").total(METRIC).version, "v1")
        with self.assertRaises(NotFoundError):
            self.braid.of_version("v9").total(METRIC)
        alerts = self.braid.alerts()
        self.assertEqual([alert.name for alert in alerts.alerts], ["revenue_drop"])
        self.assertIn(alerts.alerts[0].state, ("ok", "unknown"), "nothing was sold")
        self.assertEqual(alerts.firing, ())

    def test_rows_of_tables_and_reports(self) -> None:
        user = self.sent.row["user_id"]
        row = self.braid.row("users", user)
        self.assertEqual(row.row, self.sent.row)
        self.assertIsNotNone(row.changed_at)
        self.assertIsNone(self.braid.row("users", "a/b c").row)
        (report,) = self.braid.reports()
        self.assertEqual((report.name, report.key, report.tables), ("engagement", ("user_id",), ("users",)))
        assert report.running_date is not None
        days = [report.running_date, report.running_date - timedelta(days=1)]
        rows = [self.braid.report("engagement", day, {"user_id": user}) for day in days]
        found = [row.row for row in rows if row.row is not None]
        self.assertEqual(sum(row["click_count"] for row in found), self.sent.clicks)
        self.assertEqual({row["name"] for row in found}, {self.sent.row["name"]})
        self.assertFalse(rows[0].final)

    def test_rejected_records_come_with_their_bytes(self) -> None:
        rejected = self.braid.rejected("clicks")
        self.assertTrue(rejected.archived and rejected.complete and not rejected.more)
        found = {record.payload.content for record in rejected.records if record.payload is not None}
        self.assertEqual(found, {bytes.fromhex(payload) for payload in self.sent.broken})
        for record in rejected.records:
            assert record.payload is not None and record.key is not None
            self.assertEqual((record.key.text, record.current, record.payload.cut), (self.sent.row["user_id"], True, False))
            self.assertEqual(record.payload.size, len(record.payload.content))
            self.assertIsNotNone(record.timestamp)
        (lacking,) = self.braid.rejected("clicks", reason="missing_field").records
        self.assertEqual((lacking.reason, lacking.field), ("missing_field", "user_id"))
        newest = self.braid.rejected("clicks", limit=1)
        self.assertEqual((newest.records, newest.more), (rejected.records[:1], True))
        self.assertEqual(self.braid.status().rejected["clicks"], len(self.sent.broken))
        with self.assertRaises(BadRequestError) as unknown:
            self.braid.rejected("clicks", reason="unlucky")
        self.assertEqual(unknown.exception.parameter, "reason")

    def test_mistakes_are_named(self) -> None:
        with self.assertRaises(NotFoundError) as unknown:
            self.braid.total("vews")
        self.assertIn(METRIC, unknown.exception.fix)
        self.assertEqual(unknown.exception.kind, "unknown-metric")
        self.assertTrue(unknown.exception.request_id)
        with self.assertRaises(BadRequestError) as wrong:
            self.braid.total(METRIC, {"vidoe_id": "x"})
        self.assertEqual((wrong.exception.parameter, wrong.exception.status), ("vidoe_id", 400))

    def test_data_frames(self) -> None:
        top = self.braid.top(METRIC, limit=3)
        expected = [row.values["views"] for row in top.rows]
        self.assertEqual(top.to_polars()["views"].to_list(), expected)
        self.assertEqual(list(top.to_pandas()["views"]), expected)
        series = self.braid.series(METRIC, step="1h", start="-3h").to_polars()
        self.assertEqual(series.columns, ["start", "views", "dwell_ms", "avg_dwell_ms", "layer"])


class Cut(unittest.TestCase):
    """What is told over connections that are cut again and again."""

    sent: ClassVar[Platform]

    @classmethod
    def setUpClass(cls) -> None:
        cls.sent = platform()

    def setUp(self) -> None:
        self.relay = self.enterContext(Relay(self.sent.url))
        self.braid = self.enterContext(Client(self.relay.url))

    def test_a_total_is_watched_as_it_grows(self) -> None:
        key = {"video_id": self.sent.watched}
        found: list[int] = []
        with self.braid.watch(Question.total(METRIC, key), silence=SILENCE, give_up_after=SILENCE) as watch:
            for answer in watch:
                found.append(answer.values["views"])
                if len(set(found)) == CHANGES // 2 and watch.connections == 1:
                    self.relay.cut()
                if len(set(found)) >= CHANGES and watch.connections > 1:
                    break
            self.assertIsNone(watch.problem)
        self.assertEqual(found, sorted(found), "a total never falls")
        self.assertEqual(watch.connections, 2)
        now = self.braid.total(METRIC, key).values["views"]
        self.assertLessEqual(found[-1], now)

    def test_each_output_of_a_stream_is_told_once(self) -> None:
        where = {"user_id": self.sent.spender}
        found: list[str] = []
        with self.braid.follow(STREAM, where, silence=SILENCE, give_up_after=SILENCE) as follow:
            for followed in follow:
                match followed:
                    case VersionTold(version):
                        self.assertEqual((version, found), ("v1", []), "it is the same one all the time")
                    case Missed(gap):
                        self.fail(f"nothing was lost: {gap}")
                    case Output(fields):
                        self.assertEqual((fields["user_id"], fields["rule"]), (self.sent.spender, "high_velocity"))
                        found.append(fields["output_id"])
                        # What had arrived before a cut is still told after it.
                        if follow.connections < 3 and len(found) >= follow.connections * OUTPUTS // 3:
                            self.relay.cut()
                if len(found) >= OUTPUTS and follow.connections == 3:
                    break
            position = follow.last_event_id
        self.assertEqual(follow.connections, 3)
        with Client(self.sent.url) as braid:
            listed = [output["output_id"] for output in reversed(braid.stream(STREAM, where, limit=1_000).outputs)]
            begin = listed.index(found[0])
            self.assertEqual(listed[begin : begin + len(found)], found)
            # Another client goes on where this one was.
            with braid.follow(STREAM, where, last_event_id=position) as later:
                after = next(fields["output_id"] for fields in later.outputs())
            listed = [output["output_id"] for output in reversed(braid.stream(STREAM, where, limit=1_000).outputs)]
            self.assertEqual(listed[listed.index(found[-1]) + 1], after)
