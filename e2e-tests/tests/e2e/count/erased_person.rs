//! A person's events are erased while those of others flow: no answer and no report counts them, all others stay exact, and in the end no
//! file holds the person's id, while another engine finds everything else in the tables. Three erases are killed before the one that comes to
//! its end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow, ensure};
use e2e_tests::kafka::{Record, end_offsets};
use e2e_tests::naming::files_naming;
use e2e_tests::observer::{Besides, Observer, Seen};
use e2e_tests::printed::objects;
use e2e_tests::time::rfc3339;
use e2e_tests::views::NEVER;
use e2e_tests::{Client, Layer, Producer, Stage, busy_scenario};
use serde::Deserialize;
use serde_json::{Value, json};
use test_kit::{DEADLINE, Progress, wait_for};

/// Stands in no other text of the scenario.
const PERSON: &str = "person-7-4c1f";
const CONDITION: &str = "user = 'person-7-4c1f'";
const OTHERS: [&str; 9] = ["u-0", "u-1", "u-2", "u-3", "u-4", "u-5", "u-6", "u-8", "u-9"];
/// The person's events in the batch view, and in the speed view.
const EACH: usize = 60;
/// Longer than old files are kept, and the log of a table.
const LATER_S: i64 = 3 * 3_600;
const DAY_MS: i64 = 86_400_000;

fn catalog(topic: &str) -> String {
    format!(
        r#"[pipeline]
name = "{topic}"
version = "v1"

[schedule]
reconcile = "{NEVER}"

[sources.events]
topic = "{topic}"
partitions = 2
event_id = "id"
event_time = "at"
key = "user"
[sources.events.fields]
id = "int"
at = "timestamp"
user = "string"

[metrics.by_user]
source = "events"
by = ["user"]
grain = "1m"
[metrics.by_user.measures]
n = "count()"

[metrics.everyone]
source = "events"
by = []
grain = "1h"
[metrics.everyone.measures]
n = "count()"

[reports.daily]
metric = "by_user"
schedule = "{NEVER}"
settle = "0s"
"#
    )
}

#[test]
fn a_person_is_erased_while_events_flow() {
    busy_scenario("a_person_is_erased_while_events_flow", async |scenario| {
        let setup = Stage::of(scenario).catalog(catalog).partitions(2);
        let Some(mut stage) = setup.start_on_real_kafka().await? else { return Ok(()) };
        let producer = stage.producer()?;
        let sent = Sent::new(stage.now_us / 1_000);
        let earlier = sent.of(PERSON, EACH);
        producer.send_all(&earlier)?;
        let arrived = producer.send_all(&sent.of(OTHERS[0], EACH))?;
        let client = stage.client()?;
        client.total_as_of(arrived, "everyone", &[]).await?;
        stage.archived().await?;
        stage.deployment.reconcile().await?;
        let days = [2, 1].map(|ago| rfc3339(stage.now_us - ago * 1_000 * DAY_MS)[..10].to_owned());
        let run = ["report", "run", "daily", "--date", days[0].as_str(), "--to", days[1].as_str()];
        stage.deployment.batch(&run)?.success(DEADLINE).await?;
        ensure!(
            !files_naming(&stage.deployment.store().join("warehouse"), PERSON)?.is_empty(),
            "the report names nobody"
        );
        let later = sent.of(PERSON, EACH);
        let arrived = producer.send_all(&later)?;
        counts(&client, arrived, "by_user", Some(PERSON), 2 * EACH).await?;
        stage.archived().await?;

        let flow = Flow::start(stage.producer()?, Arc::clone(&sent));
        let erase = ["erase", "events", "--where", CONDITION, "--output", "json"];
        let dry = report(&stage, &[&erase[..], &["--dry-run"][..]].concat()).await?;
        // Copies are records of their own.
        let records = earlier.len() + later.len();
        ensure!(dry["events"] == records && dry["uncounted_since"].is_null(), "{records}: {dry}");
        for fail_point in ["erase::before_commit", "erase::after_commit", "report::before_commit"] {
            let killed = stage.deployment.launch_batch(&erase, &format!("{fail_point}=return(60000)"))?;
            killed.line(&format!("failpoint {fail_point}"), DEADLINE).await?;
            killed.kill();
        }
        let done = report(&stage, &erase).await?;
        ensure!(done["behind"] == Value::Array(Vec::new()), "{done}");
        ensure!(!done["uncounted_since"].is_null(), "answers may still count the person: {done}");
        ensure!(
            done["reports"]["daily"]["revised"] == days.len(),
            "the days of the report were not written anew: {done}"
        );
        let out_of_reach = done["out_of_reach"].to_string();
        ensure!(out_of_reach.contains(&stage.topic) && out_of_reach.contains("retention.ms"), "{out_of_reach}");
        outstanding(&stage, &["old_files"]).await?;
        let status = stage.deployment.braid(&["status", "--http", client.url()], DEADLINE).await?;
        let id = done["id"].as_str().context("no id")?;
        ensure!(status.contains(&format!("erasure {id} of")) && status.contains("in no answer"), "{status}");
        let again = report(&stage, &erase).await?;
        ensure!(again["events"] == 0 && again["reports"]["daily"]["revised"] == 0, "{again}");

        let arrived = flow.stop()?;
        is_exact(&client, arrived, &sent).await.context("as events have flowed")?;
        stage.archived().await?;
        stage.deployment.reconcile().await?;
        is_exact(&client, arrived, &sent).await.context("after another reconcile")?;

        // Old files are deleted by the first reconcile that comes late enough.
        stage.deployment.kill(Layer::Archive);
        stage.deployment.set_clock("batch-layer", LATER_S);
        stage.deployment.reconcile().await?;
        let list = listed(&stage).await?;
        let reached = &list["events"][0]["versions"]["v1"];
        ensure!(reached["deleted_at_us"].is_null(), "by the store's clock, no file is old: {list}");
        let tables = ["archive/events", "views/v1/by_user", "views/v1/everyone", "warehouse/daily"];
        tables.iter().try_for_each(|table| stage.deployment.make_late(table, LATER_S))?;
        stage.deployment.reconcile().await?;
        let list = listed(&stage).await?;
        let erasure = &list["events"][0];
        ensure!(!erasure["versions"]["v1"]["deleted_at_us"].is_null(), "{list}");
        ensure!(!list.to_string().contains(PERSON), "the list names the person: {list}");
        outstanding(&stage, &[]).await?;
        wait_for("no file to name the person", DEADLINE, async || {
            let holding = files_naming(&stage.deployment.store(), PERSON)?;
            Ok(Progress::when(holding.is_empty(), format_args!("{holding:?}")))
        })
        .await?;
        let others = files_naming(&stage.deployment.store(), OTHERS[0])?;
        ensure!(!others.is_empty(), "what others did is still there");
        stage.deployment.start(Layer::Archive).await?;
        is_exact(&client, arrived, &sent).await.context("after old files were deleted")?;
        let Some(observer) = Observer::at_the_end(scenario)? else { return Ok(()) };
        let seen: Seen<Events> = observer.look_at(&stage.deployment, "by_user").await?;
        let besides = Besides { erased: records as u64, ..Besides::default() };
        let others = sent.counts().into_iter().filter(|(user, _)| user != PERSON);
        let counted = others.map(|(user, n)| (json!([user]).to_string(), Events { n })).collect();
        seen.holds(&end_offsets(&stage.brokers, &stage.topic)?, besides, &counted).context("a second observer")
    });
}

/// What the metric counts of a user.
#[derive(Debug, PartialEq, Deserialize)]
struct Events {
    n: usize,
}

/// Waits until the status lists these erasures: where something of each is left.
async fn outstanding(stage: &Stage, expected: &[&str]) -> Result<()> {
    wait_for("the status to follow the erasure", DEADLINE, async || {
        let (_, status) = stage.client()?.get("/v1/status", &[]).await?;
        let erasures = status["sources"][0]["erasures"].as_array().context("no list of erasures")?;
        let left_in: Vec<&str> = erasures.iter().filter_map(|erasure| erasure["left_in"].as_str()).collect();
        Ok(Progress::when(left_in == expected, format_args!("{erasures:?}")))
    })
    .await
}

/// What a command of `batch-layer` prints, as JSON.
async fn report(stage: &Stage, arguments: &[&str]) -> Result<Value> {
    let process = stage.deployment.batch(arguments)?;
    process.success(DEADLINE).await?;
    first(&process.output()?)
}

/// What `braid erasures` prints, as JSON.
async fn listed(stage: &Stage) -> Result<Value> {
    first(&stage.deployment.braid(&["erasures", "--output", "json"], DEADLINE).await?)
}

fn first(output: &str) -> Result<Value> {
    objects(output)?.into_iter().next().with_context(|| format!("no report in {output:?}"))
}

/// What was sent by now: per user, how many events.
struct Sent {
    at_ms: i64,
    counts: Mutex<(usize, BTreeMap<String, usize>)>,
}

impl Sent {
    fn new(now_ms: i64) -> Arc<Sent> {
        Arc::new(Sent { at_ms: now_ms, counts: Mutex::default() })
    }

    /// So many more events of a user, on three days, some of them twice.
    fn of(&self, user: &str, count: usize) -> Vec<Record> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut records = Vec::new();
        for _ in 0..count {
            let id = counts.0;
            counts.0 += 1;
            let at = self.at_ms - (id % 3) as i64 * DAY_MS - (id % 50) as i64 * 60_000;
            let payload = format!(r#"{{"id":{id},"at":{at},"user":"{user}"}}"#).into_bytes();
            let record = Record { key: user.to_owned(), payload, partition: None };
            if id.is_multiple_of(10) {
                records.push(record.clone());
            }
            records.push(record);
        }
        *counts.1.entry(user.to_owned()).or_default() += count;
        records
    }

    fn counts(&self) -> BTreeMap<String, usize> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }
}

/// Events of all others, until it is stopped.
struct Flow {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<Result<i64>>,
}

impl Flow {
    fn start(producer: Producer, sent: Arc<Sent>) -> Flow {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let sender = std::thread::spawn(move || {
            let mut arrived = 0;
            while !stopped.load(Ordering::SeqCst) {
                for user in OTHERS {
                    arrived = producer.send_all(&sent.of(user, 3))?;
                }
            }
            Ok(arrived)
        });
        Flow { stop, sender }
    }

    /// Returns when the last record had arrived.
    fn stop(self) -> Result<i64> {
        self.stop.store(true, Ordering::SeqCst);
        self.sender.join().map_err(|_| anyhow!("the sender panicked"))?
    }
}

async fn counts(client: &Client, moment: i64, metric: &str, user: Option<&str>, expected: usize) -> Result<()> {
    let parameters: Vec<(&str, String)> = user.into_iter().map(|user| ("user", user.to_owned())).collect();
    let answer = client.total_as_of(moment, metric, &parameters).await?;
    ensure!(answer.int("n")? == i64::try_from(expected)?, "{expected} instead of: {answer:?}");
    Ok(())
}

/// Every user has the events that were sent, and the person has none.
async fn is_exact(client: &Client, moment: i64, sent: &Sent) -> Result<()> {
    let mut everyone = 0;
    for (user, count) in sent.counts() {
        let expected = if user == PERSON { 0 } else { count };
        counts(client, moment, "by_user", Some(&user), expected).await?;
        everyone += expected;
    }
    counts(client, moment, "everyone", None, everyone).await
}
