//! Every total that Braid answers, over HTTP.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use e2e_tests::Client;
use e2e_tests::answer::{Point, counts};
use e2e_tests::time::{micros, rfc3339};
use e2e_tests::views::METRIC;
use serde::Deserialize;

use super::topic::{NO_VIEWS, Topic};
use super::totals::Totals;

/// How many videos one request asks for, beside one without views. It may have 1,000 parameters.
const VIDEOS: usize = 900;
/// What the serving layer has to allow for that.
pub(super) const SETTINGS: [(&str, &str); 2] = [("http.max_keys", "901"), ("http.max_points", "1000000")];
const MINUTE_US: i64 = 60_000_000;

/// Minutes of several videos, as they are answered.
#[derive(Deserialize)]
struct Minutes {
    complete: bool,
    keys: Vec<OfVideo>,
}

#[derive(Deserialize)]
struct OfVideo {
    key: BTreeMap<String, String>,
    points: Vec<Point>,
}

/// Compares every minute of every video with the truth; that there are no others is said by the total over everything.
pub(super) async fn are_true(client: &Client, topic: &Topic) -> Result<()> {
    let total = client.total_as_of(topic.arrived_us, METRIC, &[]).await?;
    ensure!(total.counts()? == topic.truth.all(), "expected {:?} in all: {total:?}", topic.truth.all());
    let (first, last) = topic.truth.minutes().context("nothing counts")?;
    let range = [("step", "1m".to_owned()), ("from", at(first)), ("to", at(last + 1))];
    let mut said = Totals::default();
    for videos in topic.truth.videos().chunks(VIDEOS) {
        let mut asked = range.to_vec();
        // So that there are always several.
        asked.push(("video_id", NO_VIEWS.to_owned()));
        asked.extend(videos.iter().map(|video| ("video_id", video.clone())));
        let (status, answer) = client.get(&format!("/v1/metrics/{METRIC}/series"), &asked).await?;
        ensure!(status == 200, "{status}: {answer}");
        let answer: Minutes = serde_json::from_value(answer)?;
        ensure!(answer.complete, "an answer is not complete");
        for OfVideo { key, points } in answer.keys {
            let video = key.get("video_id").context("an answer for no video")?;
            for point in points.iter().filter(|point| point.values["views"] != 0) {
                said.set(video, micros(&point.start)? / MINUTE_US, counts(&point.values)?)?;
            }
        }
    }
    topic.truth.are(&said)
}

fn at(minute: i64) -> String {
    rfc3339(minute * MINUTE_US)
}
