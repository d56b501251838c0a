//! The Python client of `clients/python` is packed, its types are checked, and its own tests ask a running platform: what was sent is known,
//! and goes on being sent, so that there is something to watch. The examples of its README run there, too.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e_tests::kafka::Record;
use e2e_tests::oracle::EVER;
use e2e_tests::scenario::now_us;
use e2e_tests::time::rfc3339;
use e2e_tests::views::Mix;
use e2e_tests::{Observer, Oracle, Producer, Scenario, Stage, Traffic, busy_scenario, shipped};
use serde_json::{Map, Value, json};
use test_kit::{DEADLINE, Progress, wait_for};

/// The sections of the shipped catalog of which the client's README speaks, and what they need.
const SECTIONS: [&str; 11] = [
    "sources.views",
    "sources.transactions",
    "sources.clicks",
    "sources.orders",
    "tables.users",
    "streams.fraud_alerts",
    "metrics.views",
    "metrics.engagement",
    "metrics.revenue",
    "reports.engagement",
    "alerts.revenue_drop",
];
const VIDEOS: u32 = 120;
/// Before a reconcile, and after it.
const VIEWS: [usize; 2] = [6_000, 2_000];
const CLICKS: usize = 7;
/// Payloads that are no clicks. The second one lacks its user.
const BROKEN: [&[u8]; 3] = [
    &[0xff, 0x00, b'{'],
    br#"{"click_id": "c-x", "url": "https://example.org", "at": "2026-04-24T09:00:00Z"}"#,
    "{\"click_id\": \"\u{fc}".as_bytes(),
];
const USER: &str = "user-1";
const WATCHED: &str = "watched";
const SPENDER: &str = "user-2";
/// After so many payments in a minute, each further one is an alert.
const PAYMENTS: usize = 5;
/// Between a view or payment and the next while the client's tests run.
const PAUSE: Duration = Duration::from_millis(150);
const HOUR_US: i64 = 3_600_000_000;
const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../clients/python");

#[test]
fn python_client() {
    busy_scenario("python_client", async |scenario| {
        let Some(observer) = Observer::find(scenario)? else { return Ok(()) };
        let setup = Stage::of(scenario).catalog(|name| shipped::catalog(name, &SECTIONS));
        let setup = ["-views", "-transactions", "-clicks", "-orders", "-users"]
            .iter()
            .fold(setup, |setup, topic| setup.topic(topic, 2, &[]));
        let setup = setup.set("streams.progress_every", "300ms").without_kills();
        let Some(stage) = setup.start_on_real_kafka().await? else { return Ok(()) };
        let wheel = packed(&observer, scenario).await?;

        let mut traffic = Traffic::new(producer(&stage, "views")?, stage.views(VIDEOS, Mix::USUAL));
        let [before, after] = VIEWS;
        let arrived = traffic.send(before)?;
        stage.total_as_of(arrived).await?;
        stage.deployment.reconcile().await?;
        let arrived = traffic.send(after)?;
        stage.total_as_of(arrived).await?;
        let row = json!({"user_id": USER, "name": "Ada", "plan": "pro", "country": "DE"});
        let (users, clicks) = (producer(&stage, "users")?, producer(&stage, "clicks")?);
        send(&users, USER, &row)?;
        users.flush()?;
        for n in 0..CLICKS {
            send(&clicks, USER, &click(n, stage.now_us))?;
        }
        for payload in BROKEN {
            clicks.send(&Record { key: USER.to_owned(), payload: payload.to_vec(), partition: None })?;
        }
        stage.client()?.total_as_of(clicks.flush()?, "engagement", &[]).await?;
        let known = scenario.dir().join("known.json");
        std::fs::write(&known, known_numbers(&stage, &traffic.oracle, &row)?.to_string())?;

        let enough = AtomicBool::new(false);
        let flow = flowing(&stage, &mut traffic, &enough);
        let tests = async {
            let passed = passed(&observer, &stage, &wheel, &known).await;
            enough.store(true, Ordering::SeqCst);
            passed
        };
        let (flowed, passed) = tokio::join!(flow, tests);
        passed?;
        flowed?;
        stage.ran_without_trouble()
    });
}

/// The package as it would be installed, and its types, which are checked strictly.
async fn packed(observer: &Observer, scenario: &Scenario) -> Result<PathBuf> {
    let path = |name: &str| scenario.dir().join(name);
    let (folder, cache) = (path("wheel"), path("mypy"));
    let pack = ["-m", "hatchling", "build", "-t", "wheel", "-d"].map(OsStr::new);
    observer.python(Path::new(PACKAGE), &[&pack[..], &[folder.as_os_str()]].concat(), &[]).await?;
    let check = ["-m", "mypy", "--strict", "--cache-dir"].map(OsStr::new);
    observer.python(Path::new(PACKAGE), &[&check[..], &[cache.as_os_str()]].concat(), &[]).await?;
    let mut packed = std::fs::read_dir(&folder)?;
    Ok(packed.next().context("no wheel was made")??.path())
}

/// The client's own tests pass, and none of them is left out.
async fn passed(observer: &Observer, stage: &Stage, wheel: &Path, known: &Path) -> Result<()> {
    // The row, the first alerts and the broken clicks are there, so what the tests ask can be answered.
    let client = stage.client()?;
    wait_for("the row, an alert and the rejects", DEADLINE, async || {
        let (row, outputs, rejected) = (
            client.get(&format!("/v1/tables/users/{USER}"), &[]).await?,
            client.get("/v1/streams/fraud_alerts", &[]).await?,
            client.get("/v1/rejected", &[("source", "clicks".to_owned())]).await?,
        );
        let has = |list: &Value, least: usize| list.as_array().is_some_and(|all| all.len() >= least);
        let is_there =
            row.1["row"].is_object() && has(&outputs.1["outputs"], 1) && has(&rejected.1["records"], BROKEN.len());
        Ok(Progress::when(is_there, format_args!("{row:?} {outputs:?} {rejected:?}")))
    })
    .await?;
    let tests = ["-W", "error::ResourceWarning", "-m", "unittest", "discover", "-s", "tests", "-t", "."];
    let variables = [
        ("PYTHONPATH", wheel.as_os_str()),
        ("PYTHONDONTWRITEBYTECODE", OsStr::new("1")),
        ("BRAID_CLIENT_TEST", known.as_os_str()),
    ];
    let printed = observer.python(Path::new(PACKAGE), &tests.map(OsStr::new), &variables).await?;
    ensure!(printed.contains("\nOK") && !printed.contains("skipped"), "{printed}");
    Ok(())
}

/// What the client's tests expect.
fn known_numbers(stage: &Stage, oracle: &Oracle, row: &Value) -> Result<Value> {
    let mut videos = Map::new();
    for video in oracle.videos() {
        let counts = oracle.total(Some(&video), EVER);
        videos.insert(video, json!({"views": counts.views, "dwell_ms": counts.dwell_ms}));
    }
    let hour = stage.now_us - stage.now_us.rem_euclid(HOUR_US);
    Ok(json!({
        "url": stage.client()?.url(), "videos": videos, "watched": WATCHED, "spender": SPENDER, "row": row, "clicks": CLICKS,
        "hour": rfc3339(hour), "broken": BROKEN.map(hex),
    }))
}

/// Sends views of one video and payments of one user, until that is enough.
async fn flowing(stage: &Stage, traffic: &mut Traffic, enough: &AtomicBool) -> Result<()> {
    let payments = producer(stage, "transactions")?;
    let mut sent = 0;
    while !enough.load(Ordering::SeqCst) {
        tokio::task::block_in_place(|| {
            let view = traffic.views.about(WATCHED);
            traffic.deliver(&[view])?;
            loop {
                send(&payments, SPENDER, &payment(sent, now_us()))?;
                sent += 1;
                if sent > PAYMENTS {
                    return payments.flush();
                }
            }
        })?;
        // This paces the load; nothing depends on it.
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

fn producer(stage: &Stage, source: &str) -> Result<Producer> {
    Producer::new(&stage.brokers, &format!("{}-{source}", stage.topic))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn click(n: usize, at_us: i64) -> Value {
    let url = format!("https://example.org/page-{n}");
    json!({"click_id": format!("c-{n}"), "user_id": USER, "url": url, "at": rfc3339(at_us), "dwell_ms": 100})
}

fn payment(n: usize, at_us: i64) -> Value {
    json!({
        "transaction_id": format!("t-{n}"), "user_id": SPENDER, "amount": 9.5, "lat": 52.5, "lon": 13.4, "at": rfc3339(at_us),
    })
}

fn send(producer: &Producer, key: &str, value: &Value) -> Result<()> {
    producer.send(&Record { key: key.to_owned(), payload: value.to_string().into_bytes(), partition: None })
}
