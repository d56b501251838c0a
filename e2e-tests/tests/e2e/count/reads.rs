//! Several keys, the days and weeks of a zone over both changes of daylight saving, and windows, held against what was sent while
//! reconciles move the cut.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Datelike, NaiveDate};
use e2e_tests::answer::{Parameters, counts};
use e2e_tests::kafka::Record;
use e2e_tests::oracle::{Counts, EVER};
use e2e_tests::time::rfc3339;
use e2e_tests::views::{Event, METRIC, Sent};
use e2e_tests::{Client, Oracle, Stage, scenario};
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use test_kit::Process;

const ZONE: &str = "Europe/Berlin";
const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;
/// How many days before and after a change are asked about.
const AROUND: i64 = 9;
const VIDEOS: [&str; 3] = ["video-a", "video-b", "video-c"];
const BEFORE_RECONCILES: usize = 4_000;
const RECONCILES: usize = 3;
const BEFORE_EACH_RECONCILE: usize = 1_500;

/// The days on which clocks in Berlin are changed, by the rule of the European Union, and whether they are put forward.
struct Changes(BTreeMap<i64, bool>);

#[test]
fn reads() {
    scenario("reads", async |scenario| {
        let stage = Stage::of(scenario).without_kills().start().await?;
        let (client, mut rng, producer) = (stage.client()?, stage.rng(), stage.producer()?);
        let changes = Changes::around(stage.now_us)?;
        let asked = changes.newest(stage.now_us)?;
        let (mut oracle, mut next) = (Oracle::default(), 0);
        let mut send = |oracle: &mut Oracle, count: usize| {
            let sent: Vec<Sent> = (next..next + count).map(|id| event(&mut rng, id, &asked)).collect();
            next += count;
            oracle.observe(&sent);
            producer.send_all(sent.iter().map(|sent| &sent.record))
        };
        let arrived = send(&mut oracle, BEFORE_RECONCILES)?;
        stage.total_as_of(arrived).await?;
        are_exact(&client, &oracle, &changes, &asked).await.context("from the speed view alone")?;
        for number in 0..RECONCILES {
            let arrived = send(&mut oracle, BEFORE_EACH_RECONCILE)?;
            stage.total_as_of(arrived).await?;
            let reconcile = stage.deployment.launch_reconcile("")?;
            let exact = exact_until_it_ends(&client, &reconcile, &oracle, &changes, &asked).await;
            exact.with_context(|| format!("while reconcile {number} runs"))?;
        }
        stage.authoritative_total().await?;
        are_exact(&client, &oracle, &changes, &asked).await.context("from the batch view alone")?;
        stage.ran_without_trouble()
    });
}

async fn exact_until_it_ends(
    client: &Client,
    reconcile: &Process,
    oracle: &Oracle,
    changes: &Changes,
    asked: &[i64],
) -> Result<()> {
    loop {
        let ended = reconcile.ended()?;
        are_exact(client, oracle, changes, asked).await?;
        if let Some(status) = ended {
            ensure!(status.success(), "the reconcile ended with {status}");
            return Ok(());
        }
    }
}

/// Asks for days, weeks, hours and windows around each of these changes, and compares each point with what was sent.
async fn are_exact(client: &Client, oracle: &Oracle, changes: &Changes, asked: &[i64]) -> Result<()> {
    for change in asked {
        let days: Vec<i64> = (change - AROUND..=change + AROUND).map(|day| changes.midnight(day)).collect();
        let whole = days[0]..days[days.len() - 1];
        let steps = |boundaries: &[i64]| boundaries.windows(2).map(|step| step[0]..step[1]).collect::<Vec<_>>();
        series(client, oracle, &[("step", "1d".to_owned())], &whole, &steps(&days)).await?;

        // Before the first day of the answer lie those of its window.
        let windows: Vec<Range<i64>> = days.windows(8).map(|days| days[0]..days[7]).collect();
        let window = [("step", "1d".to_owned()), ("window", "7d".to_owned())];
        series(client, oracle, &window, &(days[6]..whole.end), &windows).await?;

        // The change is on a Sunday.
        let mondays: Vec<i64> = [-6, 1, 8].map(|after| changes.midnight(change + after)).to_vec();
        series(client, oracle, &[("step", "7d".to_owned())], &(mondays[0]..mondays[2]), &steps(&mondays)).await?;

        let day = changes.midnight(*change)..changes.midnight(change + 1);
        let hours: Vec<i64> = (day.start..=day.end).step_by(HOUR_US as usize).collect();
        ensure!(hours.len() == if changes.0[change] { 24 } else { 26 }, "{} hours", hours.len() - 1);
        series(client, oracle, &[("step", "1h".to_owned())], &day, &steps(&hours)).await?;

        let (from, to) = (rfc3339(day.start), rfc3339(day.end));
        totals(client, oracle, &[("from", from), ("to", to)], &day).await?;
    }
    totals(client, oracle, &[], &EVER).await
}

/// Asks for a series of all videos, and compares it with what was sent in each of these ranges.
async fn series(
    client: &Client,
    oracle: &Oracle,
    parameters: &Parameters<'_>,
    range: &Range<i64>,
    expected: &[Range<i64>],
) -> Result<()> {
    let bounds = [("tz", ZONE.to_owned()), ("from", rfc3339(range.start)), ("to", rfc3339(range.end))];
    let body = several(client, "series", &[parameters, &bounds[..]].concat()).await?;
    for (video, of_key) in VIDEOS.iter().zip(keys(&body)?) {
        let points = of_key["points"].as_array().with_context(|| format!("no points: {body}"))?;
        ensure!(points.len() == expected.len(), "{} points instead of {}: {body}", points.len(), expected.len());
        for (point, range) in points.iter().zip(expected) {
            let covered = (&point["start"], &point["end"]);
            let (start, end) = (json!(rfc3339(range.start)), json!(rfc3339(range.end)));
            ensure!(covered == (&start, &end), "{parameters:?}: {point} instead of {start} to {end}");
            compare(video, point, &oracle.total(Some(video), range.clone()))
                .with_context(|| format!("{parameters:?}"))?;
        }
    }
    Ok(())
}

/// Asks for totals of all videos, and compares them with what was sent in the range.
async fn totals(client: &Client, oracle: &Oracle, parameters: &Parameters<'_>, range: &Range<i64>) -> Result<()> {
    let body = several(client, "total", parameters).await?;
    for (video, of_key) in VIDEOS.iter().zip(keys(&body)?) {
        compare(video, of_key, &oracle.total(Some(video), range.clone()))?;
    }
    Ok(())
}

/// Asks for all videos at once.
async fn several(client: &Client, kind: &str, parameters: &Parameters<'_>) -> Result<Value> {
    let videos = VIDEOS.map(|video| ("video_id", video.to_owned()));
    let (status, body) =
        client.get(&format!("/v1/metrics/{METRIC}/{kind}"), &[&videos[..], parameters].concat()).await?;
    ensure!(status == 200 && body["complete"] == true, "{parameters:?}: {status}: {body}");
    Ok(body)
}

/// What an answer says of each video.
fn keys(body: &Value) -> Result<&Vec<Value>> {
    let keys = body["keys"].as_array().with_context(|| format!("no keys: {body}"))?;
    let named = keys.iter().map(|of_key| of_key["key"]["video_id"].as_str());
    ensure!(named.eq(VIDEOS.map(Some)), "other keys: {body}");
    Ok(keys)
}

fn compare(video: &str, answered: &Value, expected: &Counts) -> Result<()> {
    let values = answered["values"].as_object().with_context(|| format!("no values: {answered}"))?;
    let found = counts(values)?;
    ensure!(found == *expected, "{video}: expected {expected:?}, answered {answered}");
    Ok(())
}

/// A view at some moment around one of these days, often close to it.
fn event(rng: &mut StdRng, id: usize, asked: &[i64]) -> Sent {
    let change = asked[rng.random_range(0..asked.len())] * DAY_US;
    let around = if rng.random_bool(0.5) { 3 * HOUR_US..6 * HOUR_US } else { -8 * DAY_US..8 * DAY_US };
    let at_ms = (change + rng.random_range(around)) / 1_000;
    let video = VIDEOS[rng.random_range(0..VIDEOS.len())].to_owned();
    let dwell_ms = rng.random_bool(0.9).then(|| rng.random_range(0..1_000));
    let id = format!("e-{id}");
    let payload = json!({
        "event_id": id, "occurred_at": rfc3339(at_ms * 1_000), "video_id": video, "user_id": "u", "status": 200, "dwell_ms": dwell_ms
    });
    let record = Record { key: video.clone(), payload: payload.to_string().into_bytes(), partition: None };
    Sent { record, event: Some(Event { id, at_ms, video, status: 200, dwell_ms }) }
}

impl Changes {
    /// Those of this year and of the two before.
    fn around(now_us: i64) -> Result<Changes> {
        let year = DateTime::from_timestamp_micros(now_us).context("no time")?.year();
        let sundays = (year - 2..=year).flat_map(|year| [(year, 3, true), (year, 10, false)]);
        let sundays = sundays.map(|(year, month, is_forward)| Some((last_sunday(year, month)?, is_forward)));
        Ok(Changes(sundays.collect::<Option<_>>().context("no day")?))
    }

    /// The last change in each direction whose days around it are over.
    fn newest(&self, now_us: i64) -> Result<Vec<i64>> {
        let over = now_us / DAY_US - AROUND - 2;
        let newest = |wanted: bool| {
            let found = self.0.iter().rev().find(|(day, is_forward)| **day < over && **is_forward == wanted);
            found.map(|(day, _)| *day)
        };
        Ok(vec![newest(true).context("no spring")?, newest(false).context("no autumn")?])
    }

    /// When clocks in Berlin show midnight. They are changed at one o'clock of UTC, which is never midnight there.
    fn midnight(&self, day: i64) -> i64 {
        let is_summer = self.0.range(..day).next_back().is_some_and(|(_, is_forward)| *is_forward);
        day * DAY_US - if is_summer { 2 * HOUR_US } else { HOUR_US }
    }
}

/// The last Sunday of a month that has 31 days, in days since 1970.
fn last_sunday(year: i32, month: u32) -> Option<i64> {
    let last = NaiveDate::from_ymd_opt(year, month, 31)?;
    let sunday = last.checked_sub_days(chrono::Days::new(last.weekday().num_days_from_sunday().into()))?;
    Some(sunday.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros() / DAY_US)
}
