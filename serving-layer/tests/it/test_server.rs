//! A serving layer under test, all that it reads, and a client to ask it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use platform::settings::{Secret, Settings, Span};
use platform::shutdown::Shutdown;
use platform::store::{Commit, Committed, Store, Table};
use polars::prelude::{DataFrame, DataType, Field, NamedFrom, Schema, Series, TimeUnit, TimeZone, df};
use redis::aio::MultiplexedConnection;
use serde_json::Value;
use serving_layer::{AlertClock, AlertLog, LogClient, ServeError, Server, TopicClient};
use shared_logic::catalog::{Catalog, DefinitionHash, Metric};
use shared_logic::contracts::archive::{self, Facts};
use shared_logic::contracts::batch_view::{self, Asked, Note};
use shared_logic::contracts::speed_view::script::Reply;
use shared_logic::contracts::speed_view::{Addition, Instance, KnownFields, ShardKeys};
use shared_logic::log::{Offsets, PartitionId};
use shared_logic::plan::SourcePlan;
use shared_logic::time::parse_rfc3339;
use shared_logic::version::DeployedVersions;
use storage::{FollowedVersions, ShardClient, ShardError};
use test_kit::{Redis, catalogs};
use tokio::task::JoinHandle;

use crate::redis_proxy::RedisProxy;
use crate::stand_in::StandIn;

pub(crate) const LOG: &str = "log-a";
/// The total over everything.
pub(crate) const TOTAL: &str = "/v1/metrics/views/total";
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Stands for no country.
pub(crate) const ABSENT: &str = "(absent)";

/// When, video, country, dwell time.
pub(crate) type Event = (&'static str, &'static str, &'static str, i64);
/// Bucket, video, country; views, sum, longest.
pub(crate) type Row = (&'static str, &'static str, &'static str, i64, Option<i64>, i64);

/// The serving layer under test, and the parts that it reads.
pub(crate) struct TestServer {
    pub(crate) catalog: Catalog,
    pub(crate) settings: Settings,
    pub(crate) redis: Redis,
    pub(crate) topics: Arc<StandIn>,
    pub(crate) shutdown: Shutdown,
    /// The versions that are served; `None`: the catalog's alone.
    pub(crate) versions: Option<FollowedVersions>,
    /// Where alerts are written; `None`: none are judged.
    pub(crate) alerts: Option<Arc<dyn AlertLog>>,
    /// The clock by which they are judged; `None`: the machine's.
    pub(crate) alert_clock: Option<AlertClock>,
    /// The first day that views hold, in days since 1970.
    pub(crate) retired_before: Option<i64>,
    connection: MultiplexedConnection,
    shards: ShardClient,
    /// How many shards were opened: each is another instance.
    opened: AtomicU64,
    serving: Option<(SocketAddr, JoinHandle<Result<(), ServeError>>)>,
    pub(crate) http: reqwest::Client,
    folder: tempfile::TempDir,
}

impl TestServer {
    /// Nothing runs and nothing is written, but Redis answers and the topic has one partition.
    pub(crate) async fn new() -> TestServer {
        TestServer::with(catalogs::VIEWS).await
    }

    /// The same, of another catalog.
    pub(crate) async fn with(catalog: &str) -> TestServer {
        let folder = tempfile::tempdir().expect("a folder");
        let redis = Redis::start().await.expect("redis starts");
        let mut settings = Settings::default();
        settings.store.url = folder.path().join("store").display().to_string();
        settings.redis.url = Secret::from(redis.url());
        settings.http.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        settings.serving.refresh = Span::from_millis(30);
        // They would be reads of Redis that tests count.
        settings.telemetry.gauges_every = Span::from_secs(3_600);
        let topics = Arc::new(StandIn::default());
        topics.set(&[0]);
        TestServer {
            catalog: Catalog::parse(catalog).unwrap_or_else(|mistakes| panic!("{mistakes:?}")),
            settings,
            connection: redis.connection().await.expect("redis answers"),
            shards: ShardClient::default(),
            opened: AtomicU64::new(0),
            redis,
            topics,
            shutdown: Shutdown::new(),
            versions: None,
            alerts: None,
            alert_clock: None,
            retired_before: None,
            serving: None,
            http: reqwest::Client::new(),
            folder,
        }
    }

    pub(crate) fn metric(&self) -> &Metric {
        &self.catalog.metrics["views"]
    }

    pub(crate) fn definition(&self) -> DefinitionHash {
        self.catalog.definition(self.metric())
    }

    /// Starts the serving layer and waits until it is ready.
    pub(crate) async fn serve(&mut self) {
        self.serve_unready().await;
        self.until("/readyz", |status, _| status == 200).await;
    }

    /// The same; its Redis is behind a proxy. What a test does to shards does not pass through that.
    pub(crate) async fn serve_behind(&mut self, proxy: &RedisProxy) {
        let direct = std::mem::replace(&mut self.settings.redis.url, Secret::from(proxy.url()));
        self.serve_unready().await;
        self.settings.redis.url = direct;
        self.until("/readyz", |status, _| status == 200).await;
    }

    /// Starts the serving layer.
    pub(crate) async fn serve_unready(&mut self) {
        let server = self.bound().await.expect("bound");
        let address = server.address();
        self.serving = Some((address, tokio::spawn(server.run(self.shutdown.clone()))));
    }

    /// Why the serving layer does not start.
    pub(crate) async fn refused(&self) -> ServeError {
        self.bound().await.err().expect("refused")
    }

    async fn bound(&self) -> Result<Server, ServeError> {
        let topics: Arc<dyn TopicClient> = self.topics.clone();
        let logs: Arc<dyn LogClient> = self.topics.clone();
        let alone = || FollowedVersions::fixed(DeployedVersions::alone(self.catalog.clone()));
        let versions = self.versions.clone().unwrap_or_else(alone);
        let server = Server::bind_with(&self.settings, versions, topics, logs).await?;
        let server = match &self.alerts {
            Some(log) => server.with_alerts(Arc::clone(log)),
            None => server,
        };
        Ok(match &self.alert_clock {
            Some(clock) => server.with_alert_clock(Arc::clone(clock)),
            None => server,
        })
    }

    /// Another serving process beside this one, with the same settings; gives its address, and what stops it.
    pub(crate) async fn another(&self) -> (SocketAddr, Shutdown, JoinHandle<Result<(), ServeError>>) {
        let (server, shutdown) = (self.bound().await.expect("bound"), Shutdown::new());
        (server.address(), shutdown.clone(), tokio::spawn(server.run(shutdown)))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.serving.as_ref().expect("serving").0
    }

    /// Waits until the serving layer has ended.
    pub(crate) async fn ended(&mut self) {
        let (_, task) = self.serving.take().expect("serving");
        tokio::time::timeout(DEADLINE, task).await.expect("in time").expect("no panic").expect("no error");
    }

    /// Status and body of any request.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let response = self.response(path).await;
        let status = response.status().as_u16();
        let text = response.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path} answered {status} {text:?}")))
    }

    pub(crate) async fn response(&self, path: &str) -> reqwest::Response {
        let url = format!("http://{}{path}", self.address());
        self.http.get(&url).timeout(DEADLINE).send().await.expect("an answer")
    }

    /// The body of an answer.
    pub(crate) async fn ok(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Asks until the answer is as wanted.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(u16, &Value) -> bool) -> Value {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let (status, body) = self.get(path).await;
            if wanted(status, &body) {
                return body;
            }
            assert!(Instant::now() < deadline, "{path} still answers {status} {body}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Asks until the answer is complete.
    pub(crate) async fn until_complete(&self, path: &str) -> Value {
        self.until(path, |status, body| status == 200 && body["complete"] == true).await
    }

    /// Begins to archive partition 0 at offset 0; gives the archive's version.
    pub(crate) async fn archive_begins(&self) -> u64 {
        self.archive(|facts| facts.begin(&PartitionId::new(LOG, 0), 0)).await
    }

    /// Archives the offsets `[from, to)` of partition 0; gives the archive's version.
    pub(crate) async fn archive_rows(&self, from: i64, to: i64) -> u64 {
        self.archive(|facts| assert!(facts.advance(&PartitionId::new(LOG, 0), from, to))).await
    }

    /// Commits what the archive knows; gives its version.
    pub(crate) async fn archive(&self, change: impl FnOnce(&mut Facts)) -> u64 {
        let schema = Schema::from_iter([Field::new(archive::LOG.into(), DataType::String)]);
        let mut table = self.table(&archive::path("views"), &schema, archive::DAY).await;
        let mut facts: Facts = table.note(archive::FACTS_DOMAIN).await.expect("read").unwrap_or_default();
        change(&mut facts);
        let commit = Commit::new("ARCHIVE", archive::DAY, 0).note(archive::FACTS_DOMAIN, &facts);
        committed(table.commit(commit).await.expect("tried"))
    }

    /// Commits a view that replaces the days of its rows.
    pub(crate) async fn view(&self, cut: &[i64], archive_version: u64, rows: &[Row]) -> u64 {
        self.view_of(self.definition(), cut, archive_version, rows).await
    }

    pub(crate) async fn view_of(
        &self,
        definition: DefinitionHash,
        cut: &[i64],
        archive_version: u64,
        rows: &[Row],
    ) -> u64 {
        let instant = DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC));
        let columns = [
            ("bucket", instant.clone()),
            ("video", DataType::String),
            ("country", DataType::String),
            ("views", DataType::Int64),
            ("dwell_ms", DataType::Int64),
            ("longest", DataType::Int64),
        ];
        let schema = Schema::from_iter(columns.map(|(name, dtype)| Field::new(name.into(), dtype)));
        let mut table = self.table(&batch_view::path("v1", "views"), &schema, batch_view::DAY).await;
        let mut days: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
        rows.iter().for_each(|row| days.entry(&row.0[..10]).or_default().push(row));
        let mut commit = Commit::new("RECONCILE", batch_view::DAY, 0);
        for (day, rows) in &days {
            commit = commit.adding([table.write(day, frame(rows, &instant), &[]).await.expect("written")]);
        }
        let files = table.files().await.expect("listed").into_iter();
        let note = Note {
            definition,
            cut: Offsets::from_iter(cut.iter().enumerate().map(|(n, cut)| (PartitionId::new(LOG, n as i32), *cut))),
            archive_version,
            retired_before: self.retired_before,
            committed_at_us: at("2026-04-24T09:20:03Z"),
            asked: Asked::default(),
        };
        commit = commit.removing(files.filter(|file| days.contains_key(file.partition.as_str())));
        committed(table.commit(commit.note(batch_view::NOTE_DOMAIN, &note)).await.expect("tried"))
    }

    async fn table(&self, path: &str, schema: &Schema, partition: &str) -> Table {
        let store = Store::new(&self.settings.store, &self.catalog.deployment.name).expect("a folder");
        store.open_or_create(path, schema, partition).await.expect("a table")
    }

    fn keys(&self, partition: i32) -> ShardKeys {
        ShardKeys::new(&self.catalog.deployment, "views", &PartitionId::new(LOG, partition))
    }

    /// Opens a shard that counts the catalog's metric.
    pub(crate) async fn open(&self, partition: i32, at: i64) {
        self.open_counting(partition, at, &[self.definition()]).await;
    }

    pub(crate) async fn open_counting(&self, partition: i32, at: i64, definitions: &[DefinitionHash]) {
        let redis = &mut self.shards_connection().await;
        let instance = Instance::new(self.opened.fetch_add(1, Ordering::SeqCst));
        done(self.shards.open(redis, &self.keys(partition), at, definitions, instance).await);
    }

    /// Deletes a shard as by hand: its counters stay.
    pub(crate) async fn delete_shard(&self, partition: i32) {
        self.command(&["DEL", &self.keys(partition).shard()]).await;
    }

    /// Marks a shard as truncated, as a worker does.
    pub(crate) async fn mark_truncated(&self, partition: i32, at: i64) {
        let (redis, keys) = (&mut self.shards_connection().await, self.keys(partition));
        let instance = self.shards.positions(redis, &keys).await.expect("read").expect("a shard").instance;
        done(self.shards.mark(redis, &keys, instance, at).await);
    }

    /// Opens a slice at the cursor.
    pub(crate) async fn rotate(&self, partition: i32) {
        let redis = &mut self.shards_connection().await;
        done(self.shards.rotate(redis, &self.keys(partition), self.settings.speed.max_slices).await);
    }

    /// Drops slices below a cut.
    pub(crate) async fn drop_below(&self, partition: i32, cut: i64) {
        let redis = &mut self.shards_connection().await;
        done(self.shards.drop_below(redis, &self.keys(partition), cut).await);
    }

    /// Counts events into a shard, at the next offsets. Kafka gave the log's end at `as_of`.
    pub(crate) async fn apply(&self, partition: i32, events: &[Event], as_of: &str) {
        let (source, metric) = (&self.catalog.sources["views"], self.metric());
        let (redis, keys) = (&mut self.shards_connection().await, self.keys(partition));
        let expected = self.shards.positions(redis, &keys).await.expect("read").expect("a shard").expected();
        let partials = {
            let (source, metric, rows) = (source.clone(), metric.clone(), columns(events));
            // The plan may block, as a layer's plan does on a thread of its own.
            let count = move || {
                let plan = SourcePlan::new(&source, [&metric]);
                let (height, encoded) = (rows.height(), plan.encode(rows).expect("evaluated"));
                plan.count(&encoded, 0, &[height], usize::MAX).partials
            };
            tokio::task::spawn_blocking(count).await.expect("no panic")
        };
        let additions = [Addition::new(self.definition(), metric, &partials[0])];
        let mut unknown = KnownFields::default();
        let (_, held) = self.shards.held(redis, &keys, &expected, &additions, &unknown).await.expect("read");
        let merged = additions.iter().zip(&held);
        let merged = merged.map(|(addition, held)| (addition, addition.merged(&mut unknown, held).expect("merged")));
        let to = expected.cursor + events.len() as i64;
        done(self.shards.apply(redis, &keys, &expected, to, Some(at(as_of)), merged).await);
    }

    /// Sends a command to Redis.
    pub(crate) async fn command(&self, words: &[&str]) {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]).query_async::<()>(&mut self.connection.clone()).await.expect("done");
    }

    /// How often Redis has run a command since its start, also within scripts.
    pub(crate) async fn calls(&self, command: &str) -> u64 {
        self.redis.calls(command).await.expect("redis answers")
    }

    /// The store's folder.
    pub(crate) fn store_folder(&self) -> std::path::PathBuf {
        self.folder.path().join("store")
    }

    async fn shards_connection(&self) -> platform::redis::Connection {
        platform::redis::connect(&self.settings.redis).await.expect("redis answers")
    }
}

fn done(reply: Result<Reply, ShardError>) {
    let reply = reply.expect("run");
    assert!(matches!(reply, Reply::Done(_)), "{reply:?}");
}

pub(crate) fn at(text: &str) -> i64 {
    parse_rfc3339(text.as_bytes()).expect("an instant")
}

fn committed(committed: Committed) -> u64 {
    match committed {
        Committed::At(version) => version,
        Committed::Conflict => panic!("no other process writes"),
    }
}

fn country(text: &str) -> Option<&str> {
    (text != ABSENT).then_some(text)
}

fn columns(events: &[Event]) -> DataFrame {
    df!(
        "at" => events.iter().map(|event| at(event.0)).collect::<Vec<_>>(),
        "video" => events.iter().map(|event| event.1).collect::<Vec<_>>(),
        "country" => events.iter().map(|event| country(event.2)).collect::<Vec<_>>(),
        "dwell_ms" => events.iter().map(|event| event.3).collect::<Vec<_>>(),
    )
    .expect("columns")
}

fn frame(rows: &[&Row], instant: &DataType) -> DataFrame {
    let mut frame = df!(
        "video" => rows.iter().map(|row| row.1).collect::<Vec<_>>(),
        "country" => rows.iter().map(|row| country(row.2)).collect::<Vec<_>>(),
        "views" => rows.iter().map(|row| row.3).collect::<Vec<_>>(),
        "dwell_ms" => rows.iter().map(|row| row.4).collect::<Vec<_>>(),
        "longest" => rows.iter().map(|row| row.5).collect::<Vec<_>>(),
    )
    .expect("columns");
    let buckets = Series::new("bucket".into(), rows.iter().map(|row| at(row.0)).collect::<Vec<_>>());
    frame.with_column(buckets.cast(instant).expect("instants").into()).expect("a column");
    frame
}
