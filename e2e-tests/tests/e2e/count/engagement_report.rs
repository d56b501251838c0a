//! A nightly report: 500,000 clicks of 20,000 users whose profiles change or are deleted, some of whom have none, a day of Berlin, written
//! by a run that follows on one that was killed. Another engine computes the same from what was sent (P1, P2), and the serving layer gives the same rows (P4).

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e_tests::kafka::Record;
use e2e_tests::observer::Observer;
use e2e_tests::time::rfc3339;
use e2e_tests::{Archive, Layer, Producer, Stage, busy_scenario};
use rand::Rng;
use serde_json::Value;
use test_kit::{Progress, wait_for};

const CLICKS: usize = 500_000;
const USERS: u32 = 20_000;
const PAGES: u32 = 400;
/// One user in so many has no profile at first.
const WITHOUT: u32 = 50;
/// Profiles change so often on the way, and one change in so many deletes one.
const CHANGES: usize = 7_000;
const DELETES: usize = 10;
const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;
/// Half a million records take a while where programs are not optimised.
const LONG: Duration = Duration::from_secs(600);
const ZONE: &str = "Europe/Berlin";
/// Before its commit, it stays there until it is killed.
const BEFORE_COMMIT: &str = "report::before_commit=return(60000)";
/// After its commit, likewise: nobody is told that it was made.
const AFTER_COMMIT: &str = "report::after_commit=return(60000)";

fn catalog(name: &str) -> String {
    format!(
        r#"[pipeline]
name = "{name}"
version = "v1"
[sources.clicks]
topic = "{name}"
key = "user_id"
event_id = "id"
event_time = "at"
[sources.clicks.fields]
id = "int"
at = {{ type = "timestamp", format = "epoch_us" }}
user_id = "string"
page = "string"
dwell_ms = "int"
[tables.users]
topic = "{name}.users"
key = "user_id"
[tables.users.fields]
user_id = "string"
name = "string?"
plan = "string?"
[metrics.engagement]
source = "clicks"
by = ["user_id"]
grain = "1h"
[metrics.engagement.measures]
click_count = "count()"
unique_pages = "distinct(page)"
avg_dwell_ms = "avg(dwell_ms)"
[reports.engagement]
metric = "engagement"
schedule = "0 0 2 * * *"
time_zone = "{ZONE}"
settle = "0s"
join.users = {{ on = "user_id", take = ["name", "plan"] }}
[reports.engagement.columns]
engagement_score = "click_count * 0.3 + unique_pages * 0.5 + avg_dwell_ms / 1000 * 0.2"
"#
    )
}

#[test]
fn engagement_report() {
    busy_scenario("engagement_report", async |scenario| {
        let Some(observer) = Observer::find(scenario)? else { return Ok(()) };
        let setup = Stage::of(scenario).catalog(catalog).topic("", 4, &[]).topic(".users", 2, &[]);
        // Without a speed layer, a view includes all that is archived.
        let Some(stage) = setup.running(&[Layer::Archive]).start_on_real_kafka().await? else { return Ok(()) };
        let day_us = stage.now_us - stage.now_us.rem_euclid(DAY_US) - 2 * DAY_US;
        let date = rfc3339(day_us)[..10].to_owned();
        let (clicks, users) = (scenario.dir().join("clicks.csv"), scenario.dir().join("users.csv"));
        let profiles = send_users(&stage, day_us, &users)?;
        send_clicks(&stage, day_us, &clicks)?;

        wait_for("all of it to be archived", LONG, async || {
            let is_whole = ["clicks", "users"].map(|source| rows(&stage, source).unwrap_or_default());
            Ok(Progress::when(is_whole == [CLICKS, profiles], format!("{is_whole:?} rows")))
        })
        .await?;
        stage.deployment.launch_reconcile("")?.success(LONG).await?;

        let run = ["report", "run", "engagement", "--date", date.as_str(), "--wait", "1m", "--output", "json"];
        let killed = stage.deployment.launch_batch(&run, BEFORE_COMMIT)?;
        killed.line("failpoint report::before_commit", LONG).await?;
        killed.kill();
        let lost = stage.deployment.launch_batch(&run, AFTER_COMMIT)?;
        lost.line("failpoint report::after_commit", LONG).await?;
        lost.kill();
        ensure!(
            outcome(&stage, &run).await? == "unchanged",
            "the commit of a run that was killed afterwards is not there"
        );

        let store = stage.deployment.store();
        let seen = observer.compare(&store, "engagement", &date, ZONE, [&clicks, &users]).await?;
        let number = |name: &str| seen[name].as_u64().with_context(|| format!("the observer printed {seen}"));
        ensure!(number("differ")? == 0, "rows differ from DuckDB's: {}", seen["first"]);
        let rows = number("rows")?;
        ensure!(rows == number("expected")? && rows > u64::from(USERS) / 2, "{rows} rows: {seen}");
        let named = number("named")?;
        ensure!(number("clicks")? > CLICKS as u64 / 3 && rows / 10 * 9 < named && named < rows, "{seen}");

        served(&stage, &date, &seen).await?;
        ensure!(outcome(&stage, &run).await? == "unchanged", "a run that is repeated has changed something");
        Ok(())
    });
}

/// How many records of a source are archived.
fn rows(stage: &Stage, source: &str) -> Result<usize> {
    Ok(Archive::rows(&stage.deployment.store(), source, &["_offset"])?.height())
}

/// What a run has done with its day.
async fn outcome(stage: &Stage, run: &[&str]) -> Result<String> {
    let process = stage.deployment.batch(run)?;
    process.success(LONG).await?;
    let printed = process.output()?;
    let line = printed.lines().find(|line| line.starts_with('{')).with_context(|| format!("no outcome: {printed}"))?;
    let line: Value = serde_json::from_str(line)?;
    Ok(line["outcome"].as_str().unwrap_or_default().to_owned())
}

/// The rows over HTTP are those that the other engine expects.
async fn served(stage: &Stage, date: &str, seen: &Value) -> Result<()> {
    stage.deployment.start(Layer::Serving).await?;
    let client = stage.client()?;
    let rows = seen["shown"].as_array().context("no rows are shown")?;
    for expected in rows {
        let user = expected["user_id"].as_str().context("a row without a user")?;
        let asked = [("date", date.to_owned()), ("user_id", user.to_owned())];
        let (status, answer) = client.get("/v1/reports/engagement", &asked).await?;
        ensure!(status == 200 && answer["final"] == true, "{user}: {status} {answer}");
        for (column, value) in expected.as_object().context("a row is no object")? {
            let (got, wanted) = (&answer["row"][column], value);
            let is_same = match (got.as_f64(), wanted.as_f64()) {
                (Some(got), Some(wanted)) => (got - wanted).abs() <= 1e-9 * wanted.abs(),
                _ => got == wanted,
            };
            ensure!(is_same, "{user}: {column} is {got} instead of {wanted}");
        }
    }
    let (status, none) =
        client.get("/v1/reports/engagement", &[("date", date.to_owned()), ("user_id", "nobody".to_owned())]).await?;
    ensure!(status == 200 && none["row"].is_null() && none["final"] == true, "{status} {none}");
    Ok(())
}

/// Clicks of the day, and of some hours before and behind it; some arrive late.
fn send_clicks(stage: &Stage, day_us: i64, file: &Path) -> Result<()> {
    let (producer, mut rng, mut lines) = (stage.producer()?, stage.rng(), String::new());
    for id in 0..CLICKS {
        let user = format!("u-{}", rng.random_range(0..USERS));
        let page = format!("/p/{}", rng.random_range(0..PAGES));
        let (ms, at_us) = (rng.random_range(0..60_000), day_us + rng.random_range(-6 * HOUR_US..DAY_US + 6 * HOUR_US));
        let late_us = if rng.random_range(0..50) == 0 { rng.random_range(0..12 * HOUR_US) } else { 0 };
        let payload =
            format!(r#"{{"id":{id},"at":{at_us},"user_id":"{user}","page":"{page}","dwell_ms":{ms}}}"#).into_bytes();
        producer.send_at(&Record { key: user.clone(), payload, partition: None }, (at_us + late_us) / 1_000)?;
        writeln!(lines, "{user},{page},{ms},{at_us}")?;
    }
    producer.flush()?;
    Ok(std::fs::write(file, lines)?)
}

/// Profiles of nearly all users from before the day, and changes around it, in the order of their timestamps. Returns how many there are.
fn send_users(stage: &Stage, day_us: i64, file: &Path) -> Result<usize> {
    let (producer, mut rng, mut lines) =
        (Producer::new(&stage.brokers, &format!("{}.users", stage.topic))?, stage.rng(), String::new());
    let first = (0..USERS).filter(|user| user % WITHOUT > 0).map(|user| (user, day_us - DAY_US, false));
    let mut changes: Vec<i64> =
        (0..CHANGES).map(|_| day_us + rng.random_range(-12 * HOUR_US..DAY_US + 6 * HOUR_US)).collect();
    changes.sort_unstable();
    let change = |(number, at_us): (usize, i64)| (rng.random_range(0..USERS), at_us, number % DELETES == 0);
    let changes: Vec<(u32, i64, bool)> = changes.into_iter().enumerate().map(change).collect();
    let mut sent = 0;
    for (number, (user, at_us, deletes)) in first.chain(changes).enumerate() {
        let (user, name, plan) = (format!("u-{user}"), format!("name {number}"), ["free", "pro", "team"][number % 3]);
        sent += 1;
        if deletes {
            producer.delete_at(&user, at_us / 1_000)?;
            writeln!(lines, "{user},,,{}", at_us / 1_000 * 1_000)?;
            continue;
        }
        let payload = format!(r#"{{"user_id":"{user}","name":"{name}","plan":"{plan}"}}"#).into_bytes();
        let at_ms = at_us / 1_000;
        producer.send_at(&Record { key: user.clone(), payload, partition: None }, at_ms)?;
        writeln!(lines, "{user},{name},{plan},{}", at_ms * 1_000)?;
    }
    producer.flush()?;
    std::fs::write(file, lines)?;
    Ok(sent)
}
