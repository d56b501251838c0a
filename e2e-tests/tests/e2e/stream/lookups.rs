//! A stream that looks users up while they change, its worker is killed and Redis is emptied: each click has one output, and what the
//! output says of the user is what the offset that it names had left (B3, B4). And what is read of a table whose topic has grown, or of which
//! something was erased.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use e2e_tests::kafka::{Found, Record, grow_topic, read_all};
use e2e_tests::streams::written::{Stream, Written};
use e2e_tests::views::NEVER;
use e2e_tests::{Layer, Producer, Scenario, Stage, busy_scenario};
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use test_kit::{DEADLINE, Progress, repetitions, wait_for};

const LAYERS: [Layer; 3] = [Layer::Archive, Layer::Speed, Layer::Serving];
/// Where the worker is killed.
const MOMENTS: [&str; 4] =
    ["streams::before_transaction", "streams::after_commit", "tables::after_apply", "tables::before_apply"];
/// How long it stays at a fail point if it is not killed.
const LONG_ENOUGH_MS: u32 = 60_000;
/// How many users there are. Of these, some are never deleted.
const USERS: u32 = 12;
const STAYING: u32 = 4;

/// A stage with clicks and users, and what is sent to both.
struct Clicks {
    stage: Stage,
    clicks: Producer,
    users: Producer,
    rng: StdRng,
    sent: u32,
}

impl Clicks {
    /// A compacted table of users, so that rows come from the materialised table.
    async fn start(scenario: &Scenario) -> Result<Option<Clicks>> {
        let setup = Stage::of(scenario)
            .catalog(catalog)
            .partitions(2)
            .topic("-users", 2, &[("cleanup.policy", "compact"), ("min.compaction.lag.ms", "604800000")])
            .running(&LAYERS)
            .set("streams.progress_every", "300ms")
            .set("streams.retry_backoff", "50ms")
            .set("speed.retry_backoff", "50ms")
            .set("kafka.client.group_instance_id", "worker-1");
        let Some(stage) = setup.start_on_real_kafka().await? else { return Ok(None) };
        let users = Producer::new(&stage.brokers, &format!("{}-users", stage.topic))?;
        Ok(Some(Clicks { clicks: stage.producer()?, users, rng: stage.rng(), stage, sent: 0 }))
    }

    /// Has every user there.
    fn all_sign_up(&mut self) -> Result<()> {
        for user in 0..USERS {
            self.change(user)?;
        }
        self.users.flush().map(drop)
    }

    fn change(&mut self, user: u32) -> Result<()> {
        self.sent += 1;
        let (key, name) = (format!("u-{user}"), format!("name {}", self.sent));
        let payload = json!({"id": key, "name": name}).to_string().into_bytes();
        self.users.send(&Record { key, payload, partition: None })
    }

    /// Sends clicks, with changes of users between them.
    fn send(&mut self, clicks: u32) -> Result<()> {
        for _ in 0..clicks {
            if self.rng.random_bool(0.5) {
                let user = self.rng.random_range(0..USERS);
                if user >= STAYING && self.rng.random_bool(0.3) {
                    self.users.delete(&format!("u-{user}"))?;
                } else {
                    self.change(user)?;
                }
            }
            // Some are of nobody that was ever there.
            let user = format!("u-{}", self.rng.random_range(0..USERS + 2));
            self.click(user)?;
        }
        self.users.flush()?;
        self.clicks.flush().map(drop)
    }

    fn click(&mut self, user: String) -> Result<()> {
        self.sent += 1;
        let payload = json!({"id": format!("c-{}", self.sent), "at": self.stage.now_us / 1_000, "user": user});
        let payload = payload.to_string().into_bytes();
        self.clicks.send(&Record { key: user, payload, partition: None })
    }

    /// Waits until that is read of a user.
    async fn reads(&self, what: &str, user: &str, is_it: impl Fn(u16, &Value) -> bool) -> Result<()> {
        wait_for(what, DEADLINE, async || {
            let (status, body) = self.stage.client()?.get(&format!("/v1/tables/users/{user}"), &[]).await?;
            Ok(Progress::when(is_it(status, &body), format_args!("{status}: {body}")))
        })
        .await
    }

    /// Clicks as the newcomer until the row is found. A lane asks now and then for partitions, and says until then that it has not seen those
    /// that were added.
    async fn finds_the_newcomer(&mut self) -> Result<()> {
        wait_for("an output with the newcomer's row", DEADLINE, async || {
            self.click(NEWCOMER.to_owned())?;
            self.clicks.flush()?;
            let written = self.stream().read(&self.stage.brokers)?;
            let documents = written.iter().map(Written::json).collect::<Result<Vec<Value>>>()?;
            let found = documents.iter().any(|output| output["user"] == NEWCOMER && output["name"] == "new");
            Ok(Progress::when(found, format_args!("{:?}", documents.last())))
        })
        .await
    }

    fn stream(&self) -> Stream {
        Stream { has_late: false, ..Stream::of(&self.stage.topic, "rich") }
    }

    /// Waits until each click has its output, and holds all of them to what the topics hold.
    async fn is_written(&self) -> Result<()> {
        let brokers = &self.stage.brokers;
        let written = wait_for("an output of each click", DEADLINE, async || {
            let (clicks, written) = (read_all(brokers, &self.stage.topic)?, self.stream().read(brokers)?);
            let all: BTreeSet<(i32, i64)> = clicks.iter().map(|click| (click.partition, click.offset)).collect();
            let seen: BTreeSet<(i32, i64)> = written.iter().map(|output| (output.partition, output.offset)).collect();
            ensure!(seen.is_subset(&all) && seen.len() == written.len(), "outputs of no click, or two of one");
            let progress = format!("{} of {}", seen.len(), all.len());
            Ok(if seen == all { Progress::Done(written) } else { Progress::NotYet(progress) })
        })
        .await?;
        let users = read_all(brokers, &format!("{}-users", self.stage.topic))?;
        written.iter().try_for_each(|output| is_as_of_what_it_names(output, &users))
    }

    /// Materialises the table, from which the rows are filled.
    async fn materialise(&self) -> Result<()> {
        self.stage.deployment.batch(&["table", "materialise", "users"])?.success(DEADLINE).await
    }

    /// Waits until the rows of every partition are kept; materialises until then, as the archive may be behind.
    async fn rows_are_kept(&self) -> Result<()> {
        wait_for("the rows of each partition", DEADLINE, async || {
            self.materialise().await?;
            let (status, body) = self.stage.client()?.get("/v1/tables", &[]).await?;
            let partitions = body["tables"][0]["partitions"].as_array().cloned().unwrap_or_default();
            let kept = partitions.iter().filter(|partition| partition["cursor"].is_i64()).count();
            Ok(Progress::when(status == 200 && kept == 2, format_args!("{status}: {body}")))
        })
        .await
    }

    /// Waits until the stream says that it waits for the table, or that nothing stops it.
    async fn says_that_it_waits(&self, waits: bool) -> Result<()> {
        wait_for("the stream to say what it waits for", DEADLINE, async || {
            let (status, body) = self.stage.client()?.get("/v1/streams", &[]).await?;
            let stopped = body["streams"][0]["stopped"].as_array().cloned().unwrap_or_default();
            let names = |why: &Value| why.as_str().is_some_and(|why| why.contains("waits for the table `users`"));
            let says = if waits { stopped.iter().any(names) } else { stopped.is_empty() };
            Ok(Progress::when(status == 200 && says, format_args!("{status}: {body}")))
        })
        .await
    }

    /// Every user's row is that of the last change, once the rows have reached the end.
    async fn rows_are_the_last_changes(&self) -> Result<()> {
        let users = read_all(&self.stage.brokers, &format!("{}-users", self.stage.topic))?;
        for user in 0..USERS + 2 {
            let key = format!("u-{user}");
            let last = last_change(&users, &key, |_| true);
            let name = last.and_then(name_of);
            wait_for(&format!("the row of {key}"), DEADLINE, async || {
                let (status, body) = self.stage.client()?.get(&format!("/v1/tables/users/{key}"), &[]).await?;
                ensure!(status == 200 || status == 503, "{status}: {body}");
                let is_last = body["at"]["offset"] == json!(last.map(|last| last.offset));
                let is_row = body["row"]["name"].as_str().map(str::to_owned) == name;
                Ok(Progress::when(status == 200 && is_last && is_row, format_args!("{body}, {last:?}")))
            })
            .await?;
        }
        Ok(())
    }

    /// Every output is found again by the check of the batch layer.
    async fn check_finds_nothing(&self) -> Result<()> {
        wait_for("a check of all outputs", DEADLINE, async || {
            self.stage.deployment.reconcile().await?;
            let parameters = [("stream", "rich".to_owned()), ("limit", "1000".to_owned())];
            let (status, body) = self.stage.client()?.get("/v1/reconciliations", &parameters).await?;
            ensure!(status == 200, "{status}: {body}");
            let rows = body["reconciliations"].as_array().cloned().unwrap_or_default();
            let told = format!("{rows:?}");
            let of = |member: &str| -> u64 { rows.iter().filter_map(|row| row["stream_check"][member].as_u64()).sum() };
            let differences = of("missing") + of("extra") + of("different");
            ensure!(differences == 0, "{told}");
            let all = self.stream().read(&self.stage.brokers)?.len() as u64;
            Ok(Progress::when(of("outputs") == all, format_args!("{} of {all}: {told}", of("outputs"))))
        })
        .await
    }
}

/// The last change of a user that is meant: within a partition the one with the greatest offset. Users lie in one partition each.
fn last_change<'a>(users: &'a [Found], user: &str, is_meant: impl Fn(&Found) -> bool) -> Option<&'a Found> {
    let of_user = users.iter().filter(|change| change.key.as_deref() == Some(user.as_bytes()) && is_meant(change));
    of_user.max_by_key(|change| change.offset)
}

/// The name that a change gives a user; `None`: it deletes it.
fn name_of(change: &Found) -> Option<String> {
    let row: Value = serde_json::from_slice(&change.payload).ok()?;
    row["name"].as_str().map(str::to_owned)
}

/// What an output says of the user is what the changes below the cursor that it names have left.
pub(super) fn is_as_of_what_it_names(output: &Written, users: &[Found]) -> Result<()> {
    let document = output.json()?;
    let user = document["user"].as_str().context("no user")?;
    let seen = document["users_seen"].as_str().context("it does not say what it has seen")?;
    let mut parts = seen.rsplitn(3, '/');
    let cursor: i64 = parts.next().context("no cursor")?.parse()?;
    let partition: i32 = parts.next().context("no partition")?.parse()?;
    let last = last_change(users, user, |change| change.partition == partition && change.offset < cursor);
    let name = last.and_then(name_of);
    ensure!(document["name"].as_str().map(str::to_owned) == name, "{document} is not as of {last:?}");
    if user == NEWCOMER {
        return Ok(());
    }
    let elsewhere = last_change(users, user, |change| change.partition != partition);
    ensure!(elsewhere.is_none(), "{document} looks at another partition than {elsewhere:?}");
    let number: u32 = user.trim_start_matches("u-").parse()?;
    ensure!(number >= STAYING || name.is_some(), "a user that was always there has no row: {document}");
    Ok(())
}

fn catalog(name: &str) -> String {
    format!(
        r#"[pipeline]
name = "{name}"
version = "v1"

[schedule]
reconcile = "{NEVER}"

[sources.clicks]
topic = "{name}"
partitions = 2
event_id = "id"
event_time = "at"
key = "user"
[sources.clicks.fields]
id = "string"
at = "timestamp"
user = "string"

[tables.users]
topic = "{name}-users"
partitions = 2
key = "id"
[tables.users.fields]
id = "string"
name = "string"

[streams.rich]
from = "clicks"
topic = "{name}-rich"
lookup.users = {{ on = "user", take = ["name"] }}
"#
    )
}

#[test]
fn a_lookup_stream_through_kills_and_an_emptied_redis() {
    busy_scenario("a_lookup_stream_through_kills_and_an_emptied_redis", async |scenario| {
        let Some(mut clicks) = Clicks::start(scenario).await? else { return Ok(()) };
        clicks.all_sign_up()?;
        // Before the rows are there: these clicks wait.
        clicks.send(20)?;
        clicks.says_that_it_waits(true).await?;
        clicks.rows_are_kept().await?;
        clicks.is_written().await.context("before the first kill")?;
        clicks.says_that_it_waits(false).await?;
        let mut rng = clicks.stage.rng();
        for moment in MOMENTS.repeat(repetitions(1, 4)) {
            let fail_point = format!("{moment}={}*off->return({LONG_ENOUGH_MS})", rng.random_range(0..3));
            let process = clicks.stage.deployment.launch(Layer::Speed, &fail_point)?;
            wait_for(&format!("{moment} to be passed"), DEADLINE, async || {
                clicks.send(2)?;
                Ok(Progress::when(process.output()?.contains(&format!("failpoint {moment}")), "it is not"))
            })
            .await?;
            process.kill();
            if rng.random_bool(0.5) {
                clicks.stage.redis.command(&["FLUSHALL"]).await?;
            }
            clicks.send(10)?;
            clicks.stage.deployment.start(Layer::Speed).await?;
            clicks.is_written().await.with_context(|| format!("killed at {moment}"))?;
        }
        // Emptied under a worker that lives, and once more while it fills the rows.
        clicks.stage.redis.command(&["FLUSHALL"]).await?;
        clicks.send(20)?;
        clicks.is_written().await.context("emptied")?;
        let filling = format!("tables::before_opening=1*return({LONG_ENOUGH_MS})->off");
        clicks.stage.redis.command(&["FLUSHALL"]).await?;
        let process = clicks.stage.deployment.launch(Layer::Speed, &filling)?;
        process.line_with("failpoint tables::before_opening", DEADLINE).await?;
        process.kill();
        clicks.send(20)?;
        clicks.stage.deployment.start(Layer::Speed).await?;
        clicks.is_written().await.context("killed while it filled the rows")?;
        clicks.rows_are_the_last_changes().await?;
        clicks.check_finds_nothing().await
    });
}

/// The user who comes when the topic has grown, into the partition that is the last one then. Nobody clicks as this one before.
const NEWCOMER: &str = "u-45";

/// No tick of the schedule comes.
#[test]
fn rows_of_a_table_wait_for_no_tick() {
    busy_scenario("rows_of_a_table_wait_for_no_tick", async |scenario| {
        let Some(mut clicks) = Clicks::start(scenario).await? else { return Ok(()) };
        clicks.stage.deployment.start(Layer::Schedule).await?;
        clicks.all_sign_up()?;
        clicks.send(20)?;
        clicks.is_written().await.context("never materialised by a tick")?;

        let (brokers, topic) = (clicks.stage.brokers.clone(), format!("{}-users", clicks.stage.topic));
        grow_topic(&brokers, &topic, 4).await?;
        let payload = json!({"id": NEWCOMER, "name": "new"}).to_string().into_bytes();
        let users = Producer::new(&brokers, &topic)?;
        users.send_all(&[Record { key: NEWCOMER.to_owned(), payload, partition: Some(3) }])?;
        let is_new = |status: u16, body: &Value| status == 200 && body["row"]["name"] == "new";
        clicks.reads("the row of a partition that was added", NEWCOMER, is_new).await?;
        clicks.finds_the_newcomer().await?;
        clicks.is_written().await.context("partitions were added")?;

        // The erasure is killed before anything is materialised, and nothing goes on with that.
        clicks.stage.deployment.kill(Layer::Schedule);
        let erase = ["erase", "users", "--where", "id = 'u-1'"];
        let killed = clicks.stage.deployment.launch_batch(&erase, "erase::after_commit=return(60000)")?;
        killed.line("failpoint erase::after_commit", DEADLINE).await?;
        killed.kill();
        clicks.reads("no row to be read", "u-1", |status, _| status == 503).await?;
        clicks.reads("no row to be read", NEWCOMER, |status, _| status == 503).await?;
        clicks.stage.deployment.start(Layer::Schedule).await?;
        clicks.reads("the others", NEWCOMER, is_new).await?;
        clicks
            .reads("nothing of the one that was erased", "u-1", |status, body| status == 200 && body["row"].is_null())
            .await
    });
}
