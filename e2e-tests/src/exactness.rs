//! Comparing what the serving layer answers with what the oracle knows, for every key.

use anyhow::{Context, Result, ensure};
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::answer::{Answer, Client, counts};
use crate::oracle::{Counts, EVER, Oracle};
use crate::time::{micros, rfc3339};
use crate::views::{LATE_MS, METRIC};

const HOUR_US: i64 = 3_600_000_000;
const QUESTIONS_AT_ONCE: usize = 8;

/// Asks for the total and the hourly series of every video, and for both over all videos; every answer must be complete
/// and exactly what the oracle says. `now_us` is the moment before which the events happened.
pub async fn every_answer_is_exact(client: &Client, oracle: &Oracle, now_us: i64) -> Result<()> {
    let videos = oracle.videos().into_iter().map(Some).chain([None]);
    stream::iter(videos)
        .map(|video| async move { answers_about(client, oracle, now_us, video.as_deref()).await })
        .buffer_unordered(QUESTIONS_AT_ONCE)
        .try_collect()
        .await
}

async fn answers_about(client: &Client, oracle: &Oracle, now_us: i64, video: Option<&str>) -> Result<()> {
    let mut parameters: Vec<(&str, String)> = video.iter().map(|video| ("video_id", (*video).to_owned())).collect();
    let total = client.total(METRIC, &parameters).await?;
    total_is_exact(&total, oracle.total(video, EVER)).with_context(|| format!("the total of {video:?}"))?;

    let to = now_us - now_us.rem_euclid(HOUR_US) + HOUR_US;
    let from = to - LATE_MS * 1000 - 2 * HOUR_US;
    parameters.extend([("from", rfc3339(from)), ("to", rfc3339(to)), ("step", "1h".to_owned())]);
    let series = client.series(METRIC, &parameters).await?;
    series_is_exact(&series, oracle, video, from, to).with_context(|| format!("the series of {video:?}"))
}

/// The total is complete and says exactly `expected`.
pub fn total_is_exact(total: &Answer, expected: Counts) -> Result<()> {
    let answered = total.counts()?;
    ensure!(total.complete, "incomplete: {total:?}");
    ensure!(answered == expected, "answered {answered:?}, expected {expected:?}: {total:?}");
    Ok(())
}

fn series_is_exact(series: &Answer, oracle: &Oracle, video: Option<&str>, from: i64, to: i64) -> Result<()> {
    ensure!(series.complete, "incomplete: {series:?}");
    let hours = usize::try_from((to - from) / HOUR_US)?;
    ensure!(series.points.len() == hours, "{} points for {hours} hours", series.points.len());
    for (point, start) in series.points.iter().zip((from..).step_by(HOUR_US as usize)) {
        ensure!(micros(&point.start)? == start, "a point at {} instead of {}", point.start, rfc3339(start));
        let expected = oracle.total(video, start..start + HOUR_US);
        let answered = counts(&point.values)?;
        ensure!(answered == expected, "expected {expected:?}, answered {point:?}");
    }
    Ok(())
}
