//! The example for data scientists reads archive, view and report of the shipped catalog's clicks and users: its training set has the
//! profile of each day, and what it counts from the archive is what the report says.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use e2e_tests::kafka::Record;
use e2e_tests::time::rfc3339;
use e2e_tests::{Observer, Producer, Stage, scenario, shipped};
use polars::prelude::{LazyFrame, PlRefPath, ScanArgsParquet, col};
use serde_json::{Value, json};
use test_kit::DEADLINE;

/// The sections of it that are played.
const SECTIONS: [&str; 4] = ["sources.clicks", "tables.users", "metrics.engagement", "reports.engagement"];
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
const NOON_MS: i64 = DAY_MS / 2;
const USERS: usize = 6;
/// The days of the report, as so many days ago. They are long settled.
const DAYS: [i64; 2] = [3, 2];
/// In the order of time: a user, how many days ago, and the plan from then on; `None`: the profile is deleted.
const CHANGES: [(usize, i64, Option<&str>); 9] = [
    (0, 4, Some("free")),
    (1, 4, Some("free")),
    (2, 4, Some("free")),
    (3, 4, Some("free")),
    (0, 3, Some("pro")),
    (1, 2, Some("pro")),
    (2, 2, None),
    (5, 2, Some("basic")),
    (3, 1, Some("pro")),
];

/// A row of the training set: clicks, different pages, and the plan of that day.
type Row = (i64, i64, Option<String>);

#[test]
fn training_set() {
    scenario("training_set", async |scenario| {
        let Some(observer) = Observer::find(scenario)? else { return Ok(()) };
        let setup = Stage::of(scenario)
            .catalog(|name| shipped::catalog(name, &SECTIONS))
            .topic("-clicks", 2, &[])
            .topic("-users", 2, &[])
            .without_kills();
        let Some(stage) = setup.start_on_real_kafka().await? else { return Ok(()) };
        let noon = |ago: i64| stage.now_us / 1_000 / DAY_MS * DAY_MS - ago * DAY_MS + NOON_MS;
        let users = Producer::new(&stage.brokers, &format!("{}-users", stage.topic))?;
        for (user, ago, plan) in CHANGES {
            change(&users, user, plan, noon(ago))?;
        }
        users.flush()?;
        let clicks = Producer::new(&stage.brokers, &format!("{}-clicks", stage.topic))?;
        for ago in DAYS {
            (0..USERS).try_for_each(|user| click_on(&clicks, user, noon(ago)))?;
        }
        // The view ends where the speed layer has come to, and the report waits for a view that has everything.
        stage.client()?.total_as_of(clicks.flush()?, "engagement", &[]).await?;
        stage.deployment.reconcile().await?;
        let dates = DAYS.map(|ago| rfc3339(noon(ago) * 1_000)[..10].to_owned());
        let run = stage.deployment.batch(&["report", "run", "engagement", "--date", &dates[0], "--to", &dates[1]])?;
        run.success(DEADLINE).await?;

        let folder = scenario.dir().join("example");
        let said = observer.example("engagement.py", &stage.deployment, &folder).await?;
        let expected: BTreeMap<(String, String), Row> = DAYS
            .into_iter()
            .zip(&dates)
            .flat_map(|(ago, date)| (0..USERS).map(move |user| ((date.clone(), id(user)), row(user, ago))))
            .collect();
        let with_profile = expected.values().filter(|(_, _, plan)| plan.is_some()).count();
        let wanted = json!({
            "days": DAYS.len(), "rows": expected.len(), "with_profile": with_profile, "other_plans": 0, "other_counts": 0,
        });
        ensure!(said == wanted, "{said} instead of {wanted}");
        let training = training(&folder.join("training.parquet"))?;
        ensure!(training == expected, "{training:?} instead of {expected:?}");
        let picture = std::fs::read_to_string(folder.join("engagement.svg"))?;
        let bars = picture.matches("<rect ").count();
        ensure!(picture.starts_with("<svg ") && bars == DAYS.len(), "an hour of each day has clicks: {picture}");
        stage.ran_without_trouble()
    });
}

fn id(user: usize) -> String {
    format!("u-{user}")
}

/// What the training set has to say of a user, so many days ago.
fn row(user: usize, ago: i64) -> Row {
    let last = CHANGES.iter().rfind(|(of, changed, _)| *of == user && *changed >= ago);
    let plan = last.and_then(|(_, _, plan)| *plan).map(str::to_owned);
    (clicks_of(user) as i64, pages_of(user) as i64, plan)
}

fn clicks_of(user: usize) -> usize {
    3 + user
}

/// Every other click is on the page of the click before.
fn pages_of(user: usize) -> usize {
    clicks_of(user).div_ceil(2)
}

fn change(producer: &Producer, user: usize, plan: Option<&str>, at_ms: i64) -> Result<()> {
    let Some(plan) = plan else { return producer.delete_at(&id(user), at_ms) };
    let row = json!({"user_id": id(user), "name": "Ada", "plan": plan, "country": "DE"});
    send(producer, user, &row, at_ms)
}

/// The clicks of a user from that moment on, the first of them twice.
fn click_on(producer: &Producer, user: usize, from_ms: i64) -> Result<()> {
    for n in [0].into_iter().chain(0..clicks_of(user)) {
        let (at_ms, url) = (from_ms + n as i64 * 1_000, format!("https://example.org/page-{}?n={n}", n / 2));
        let click = json!({
            "click_id": format!("{from_ms}-{user}-{n}"), "user_id": id(user), "url": url, "at": at_ms, "dwell_ms": 100 * n,
        });
        send(producer, user, &click, at_ms)?;
    }
    Ok(())
}

fn send(producer: &Producer, user: usize, value: &Value, at_ms: i64) -> Result<()> {
    let record = Record { key: id(user), payload: value.to_string().into_bytes(), partition: None };
    producer.send_at(&record, at_ms)
}

/// The training set that the example has written, by date and user.
fn training(file: &Path) -> Result<BTreeMap<(String, String), Row>> {
    let path = PlRefPath::try_from_path(file)?;
    let columns = ["date", "user_id", "click_count", "unique_pages", "plan_then"].map(col);
    let read = move || LazyFrame::scan_parquet(path, ScanArgsParquet::default())?.select(columns).collect();
    // Polars brings a runtime of its own, which must not be entered from a test's.
    let frame = std::thread::spawn(read).join().expect("reading a file does not panic")?;
    let [dates, users, plans] = ["date", "user_id", "plan_then"].map(|name| frame.column(name));
    let (dates, users, plans) = (dates?.str()?, users?.str()?, plans?.str()?);
    let (clicks, pages) = (frame.column("click_count")?.i64()?, frame.column("unique_pages")?.i64()?);
    let row = |at: usize| -> Result<((String, String), Row)> {
        let key = (dates.get(at).context("no date")?.to_owned(), users.get(at).context("no user")?.to_owned());
        let counts = (clicks.get(at).context("no clicks")?, pages.get(at).context("no pages")?);
        Ok((key, (counts.0, counts.1, plans.get(at).map(str::to_owned))))
    };
    (0..frame.height()).map(row).collect()
}
