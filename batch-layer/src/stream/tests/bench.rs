//! A source and streams over it: records that are archived by hand, lanes that decide, and archives of what they write.

use std::collections::BTreeMap;
use std::sync::Arc;

use platform::registry::Registry;
use platform::settings::{self, Settings, Size, Span};
use platform::store::Committed;
use shared_logic::catalog::{Catalog, Source};
use shared_logic::contracts::archive::{Facts, headers_of, headers_text};
use shared_logic::contracts::reconciliation::{Reconciliation, StreamCheck};
use shared_logic::contracts::stream::{
    Changed, ProgressKey, ProgressNoted, Published, mark_headers, mark_of, output_headers, upstream_of,
};
use shared_logic::decode::{Columns, Decoder};
use shared_logic::dedup::Sighting;
use shared_logic::log::PartitionId;
use shared_logic::stream::{
    Decided, DecidedKind, Fronts, Lane, LanePlan, Limits, LookedUp, Mark, MarkRecord, Originals, OutputPosition,
    Progress, Records,
};
use storage::{Archive, Schemas, Storage};
use test_kit::Dice;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::archive;
use crate::archive::buffer::Buffer;
use crate::archive_rows::record_rows::Incoming;
use crate::stream::Checker;
use crate::stream::held::Held;
use crate::stream::progress::{Asked, TopicEnds};

/// Windows, a map and a detector over the source `s`.
pub(super) const CATALOG: &str = r#"
[sources.s]
event_id = "id"
event_time = "at"
key = "user"
partitions = 2
dedup_window = 20
max_ahead = "1h"
[sources.s.fields]
id = "string"
at = "timestamp"
user = "string"
n = "int"
[streams.large]
from = "s"
where = "n > 5"
[streams.sums]
from = "s"
by = ["user"]
window = "1m"
lateness = "10s"
[streams.sums.measures]
events = "count()"
total = "sum(n)"
[streams.bursts]
from = "s"
key = "user"
history = "1m"
[streams.bursts.detect]
again = "history_count() >= 2"
"#;

/// The log of the source, which has two partitions.
pub(super) const LOG: &str = "log";
pub(super) const PARTITIONS: i32 = 2;
/// When the first record is written.
const BEGIN_US: i64 = 1_777_000_000_000_000;
const SECOND_US: i64 = 1_000_000;

/// A record that is to be archived.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) timestamp_us: Option<i64>,
    pub(super) key: Option<Vec<u8>>,
    pub(super) payload: Option<Vec<u8>>,
    pub(super) headers: Option<String>,
}

/// Up to where a lane has published.
#[derive(Debug, Clone)]
pub(super) struct Stand {
    pub(super) id: PartitionId,
    /// Of each stream, the first position that is not published.
    pub(super) positions: Vec<OutputPosition>,
    /// The fronts there.
    pub(super) fronts: Fronts,
}

impl Stand {
    /// The first offset of which something is not published.
    pub(super) fn at(&self) -> i64 {
        self.positions.iter().map(|position| position.offset).min().unwrap_or_default()
    }
}

/// A lane that writes streams, as the speed layer has one.
struct Writer {
    id: PartitionId,
    lane: Lane,
}

/// Finds what lanes look up for the events of some records.
pub(super) type LooksUp = Box<dyn FnMut(&LanePlan, &Records) -> Vec<LookedUp> + Send>;

/// What was decided, and of which partition.
pub(super) type Output = (PartitionId, Decided);

/// A source, its streams, and their archives.
pub(super) struct Bench {
    pub(super) catalog: Catalog,
    pub(super) settings: Settings,
    pub(super) storage: Storage,
    pub(super) archives: BTreeMap<String, Archive>,
    /// The source that the lanes read.
    from: String,
    plan: Arc<LanePlan>,
    writers: Vec<Writer>,
    /// Records that are archived and that no lane has read yet.
    unread: Vec<Row>,
    pub(super) dice: Dice,
    /// B4: what lanes look up.
    pub(super) looks_up: Option<LooksUp>,
    /// How far the records' clock has come.
    now_us: i64,
    _folder: tempfile::TempDir,
}

impl Bench {
    /// With the streams over the source `s` of that catalog.
    pub(super) async fn new(catalog: &str, seed: u64) -> Bench {
        Bench::over(catalog, "s", LOG, seed).await
    }

    /// With the streams over a source of that catalog, whose log has that name.
    pub(super) async fn over(catalog: &str, from: &str, log: &str, seed: u64) -> Bench {
        let mut dice = Dice::new(seed);
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
        let store = settings::Store { url: folder.path().display().to_string(), ..settings::Store::default() };
        // For a few records at a time, and for all.
        let memory = Size::from_bytes(*dice.pick(&[1_024, 16_384, 512 << 20]));
        let reconcile = settings::Reconcile { memory, wait: Span::from_millis(0), ..settings::Reconcile::default() };
        let settings = Settings { store, reconcile, ..Settings::default() };
        let catalog = Catalog::parse(catalog).expect("a valid catalog");
        let storage = Storage::new(&settings.store, &catalog.deployment).expect("a store");
        let mut archives = BTreeMap::new();
        for source in catalog.sources.values() {
            let mut archive = archive::create(&storage, source).await.expect("created");
            let (rules, log) =
                (source.rules(), if source.name == from { log.to_owned() } else { log_of(&source.name) });
            let begin = |facts: &mut Facts| {
                facts.keep_bytes(&rules, None);
                (0..PARTITIONS).for_each(|partition| facts.begin(&PartitionId::new(log.clone(), partition), 0));
            };
            archive.change("BEGIN", begin).await.expect("begun");
            archives.insert(source.name.clone(), archive);
        }
        let plan = Arc::new(LanePlan::new(&catalog, &catalog.sources[from]));
        let writers = (0..PARTITIONS).map(|partition| {
            let id = PartitionId::new(log, partition);
            let limits = Limits { pending_events: 10_000, state_bytes: 1 << 30, step_bytes: 1 << 30 };
            Writer { lane: Lane::new(plan.clone(), id.clone(), &catalog.deployment.version, 0, limits), id }
        });
        Bench {
            writers: writers.collect(),
            from: from.to_owned(),
            plan,
            catalog,
            settings,
            storage,
            archives,
            unread: Vec::new(),
            dice,
            looks_up: None,
            now_us: BEGIN_US,
            _folder: folder,
        }
    }

    /// From now on it is about the streams over another source of the catalog, whose lanes are not its own.
    pub(super) fn turns_to(&mut self, from: &str) {
        self.plan = Arc::new(LanePlan::new(&self.catalog, &self.catalog.sources[from]));
        from.clone_into(&mut self.from);
        self.writers.clear();
    }

    pub(super) fn source(&self, name: &str) -> Source {
        self.catalog.sources[name].clone()
    }

    pub(super) fn archive(&self) -> &Archive {
        &self.archives[&self.from]
    }

    /// What is archived of a source or stream, as a process that has just been started knows it.
    pub(super) async fn held(&self, name: &str) -> Held {
        let archive = self.storage.archive(name).await.expect("read").expect("begun");
        let schemas = Schemas::new(&self.storage, name, &Registry::new(&self.settings.registry));
        Held::open(archive, &self.catalog.sources[name], &schemas).await.expect("decoded")
    }

    /// Archives records in one commit.
    pub(super) async fn archive_these(&mut self, name: &str, log: &str, rows: &[Row]) {
        let source = self.source(name);
        let archive = self.archives.get_mut(name).expect("created");
        archive.refresh().await.expect("read");
        let facts = archive.facts();
        let partitions = &facts.log(log).expect("begun").partitions;
        let next = partitions.iter().map(|(partition, known)| (*partition, known.next)).collect();
        let declared = archive.columns().expect("read");
        let (mut buffer, mut decoder) = (Buffer::new(&source, &declared, log, &next), Decoder::new(&source));
        for Row { partition, offset, timestamp_us, key, payload, headers } in rows {
            let (partition, offset, timestamp_us, headers) = (*partition, *offset, *timestamp_us, headers.clone());
            let (key, payload) = (key.as_deref(), payload.as_deref());
            buffer.push(Incoming { partition, offset, timestamp_us, key, payload, headers }, &mut decoder);
        }
        let committed = archive::commit::rows(archive, &source, buffer, &BTreeMap::new()).await.expect("written");
        assert!(matches!(committed, Committed::At(_)), "there is no other writer");
    }

    /// The first offset of a partition that is not archived.
    pub(super) fn next(&self, name: &str, log: &str, partition: i32) -> i64 {
        self.archives[name].facts().partition(&PartitionId::new(log, partition)).expect("begun").next
    }

    /// Archives some records of the source: out of order, some of them copies, invalid or long past, with offsets between them that hold
    /// none.
    pub(super) async fn arrives(&mut self, records: usize) {
        let mut rows = Vec::new();
        let mut next: Vec<i64> = (0..PARTITIONS).map(|partition| self.next("s", LOG, partition)).collect();
        for _ in 0..records {
            self.now_us += self.dice.between(0, 4) * SECOND_US;
            let user = self.dice.between(0, 5);
            let partition = (user % i64::from(PARTITIONS)) as i32;
            let offset = &mut next[partition as usize];
            *offset += i64::from(self.dice.chance(10));
            let row = self.record(user, partition, *offset);
            next[partition as usize] += 1;
            rows.push(row);
        }
        self.archive_these("s", LOG, &rows).await;
        self.unread.extend(rows);
    }

    fn record(&mut self, user: i64, partition: i32, offset: i64) -> Row {
        let late_s = if self.dice.chance(5) { 3_600 * 30 } else { self.dice.between(0, 25) };
        let at_us = self.now_us - late_s * SECOND_US;
        // Copies share their time, too.
        let id = if self.dice.chance(15) { 0 } else { offset + 1 };
        let at_us = if id == 0 { at_us - at_us.rem_euclid(60 * SECOND_US) } else { at_us };
        let payload = format!(
            r#"{{"id": "{partition}-{id}", "at": {}, "user": "u-{user}", "n": {}}}"#,
            at_us / 1_000,
            self.dice.between(0, 9)
        );
        let payload = if self.dice.chance(5) { b"no event".to_vec() } else { payload.into_bytes() };
        let timestamp_us = (!self.dice.chance(10)).then_some(self.now_us - self.now_us % 1_000);
        let key = Some(format!("u-{user}").into_bytes());
        Row { partition, offset, timestamp_us, key, payload: Some(payload), headers: None }
    }

    /// Has the lanes decide some of what is archived; returns that. `all`: everything.
    pub(super) fn decides(&mut self, all: bool) -> Vec<Output> {
        let source = self.source(&self.from);
        let mut decided = Vec::new();
        for writer in &mut self.writers {
            let of_lane = |row: &Row| row.partition == writer.id.partition;
            let mut rows: Vec<Row> = self.unread.iter().filter(|row| of_lane(row)).cloned().collect();
            if !all {
                rows.truncate(self.dice.below(rows.len() + 1));
            }
            let Some(last) = rows.last().map(|row| row.offset) else { continue };
            self.unread.retain(|row| !(row.partition == writer.id.partition && row.offset <= last));
            let mut out = Vec::new();
            for some in rows.chunks(1 + self.dice.below(7)) {
                let from = writer.lane.cursor();
                let mut records = records(&source, from, some);
                if let Some(looks_up) = &mut self.looks_up {
                    records.looked_up = looks_up(&self.plan, &records);
                }
                writer.lane.give(records).expect("the next ones");
                while writer.lane.step(3, &mut out) == Progress::More {}
            }
            decided.extend(out.into_iter().map(|decided| (writer.id.clone(), decided)));
        }
        decided
    }

    /// The name of a stream of the lanes.
    pub(super) fn stream(&self, decided: &Decided) -> &str {
        &self.plan.streams()[decided.stream].name
    }

    /// Archives outputs as their streams' topics hold them, each in its lane's partition, and returns how many of each stream there are.
    pub(super) async fn writes(&mut self, outputs: &[Output]) -> BTreeMap<String, u64> {
        self.writes_to(outputs, |id, _| id.partition).await
    }

    /// The same, each in the partition that is given.
    pub(super) async fn writes_to(
        &mut self,
        outputs: &[Output],
        to: impl Fn(&PartitionId, &Decided) -> i32,
    ) -> BTreeMap<String, u64> {
        let mut rows: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        let mut next: BTreeMap<(String, i32), i64> = BTreeMap::new();
        for (id, decided) in outputs.iter().filter(|(_, decided)| decided.kind == DecidedKind::Output) {
            let stream = self.plan.streams()[decided.stream].clone();
            let partition = to(id, decided);
            let known = next.entry((stream.name.clone(), partition));
            let next = known.or_insert_with(|| self.next(&stream.name, &log_of(&stream.name), partition));
            // A marker of a transaction.
            *next += i64::from(self.dice.chance(20));
            let headers = output_headers(&stream.name, id, decided.position, &stream.definition, stream.rekeys);
            rows.entry(stream.name.clone()).or_default().push(Row {
                partition,
                offset: *next,
                timestamp_us: Some(self.now_us - self.now_us % 1_000),
                key: decided.key.clone(),
                payload: Some(decided.payload.clone()),
                headers: text(&headers),
            });
            *next += 1;
        }
        let counts = rows.iter().map(|(stream, rows)| (stream.clone(), rows.len() as u64)).collect();
        for (stream, rows) in rows {
            let log = log_of(&stream);
            self.archive_these(&stream, &log, &rows).await;
        }
        counts
    }

    /// What the progress topic and the ends of the streams' topics say now.
    pub(super) fn asked(&self) -> Asked {
        let stand = |Writer { id, lane }: &Writer| {
            let positions = (0..self.plan.streams().len()).map(|stream| lane.position(stream)).collect();
            Stand { id: id.clone(), positions, fronts: lane.fronts() }
        };
        self.asked_at(&self.writers.iter().map(stand).collect::<Vec<Stand>>())
    }

    /// The same where so much is published.
    pub(super) fn asked_at(&self, stands: &[Stand]) -> Asked {
        let noted = stands.iter().map(|stand| (stand.id.partition, self.noted(stand)));
        let ends = self.plan.streams().iter().map(|stream| {
            let log = log_of(&stream.name);
            let ends = (0..PARTITIONS).map(|partition| (partition, self.next(&stream.name, &log, partition)));
            (stream.name.clone(), TopicEnds { ends: ends.collect(), log })
        });
        Asked {
            at: Instant::now(),
            log: stands[0].id.log.clone(),
            partitions: PARTITIONS,
            progress_log: "progress".to_owned(),
            noted: noted.collect(),
            outputs: ends.collect(),
            tables: self.table_ends(),
        }
    }

    /// Where the topics of the tables end: where their archives do.
    fn table_ends(&self) -> BTreeMap<String, TopicEnds> {
        let ends = |table: &String| {
            let log = log_of(table);
            let ends = (0..PARTITIONS).map(|partition| (partition, self.next(table, &log, partition)));
            (table.clone(), TopicEnds { ends: ends.collect(), log })
        };
        self.catalog.tables.keys().map(ends).collect()
    }

    /// What a lane has published.
    fn noted(&self, Stand { id, positions, fronts }: &Stand) -> ProgressNoted {
        let mut noted = ProgressNoted::default();
        for (stream, position) in self.plan.streams().iter().zip(positions) {
            let published = Published {
                log: id.log.clone(),
                position: *position,
                fronts: fronts.clone(),
                definition: stream.definition.clone(),
                checked: None,
                incomplete: false,
                full: None,
                open: 0,
                never_written: 0,
            };
            noted.published.insert(stream.name.clone(), published);
            let fronts = Fronts::new(self.catalog.sources[&self.from].rekeyed);
            let (log, to) = (id.log.clone(), Some(stream.definition.clone()));
            let changed = Changed { log: log.clone(), offset: 0, from: None, to, fronts, part: false, past_from: None };
            noted.changes.insert(ProgressKey::Change { stream: stream.name.clone(), log, offset: 0 }, changed);
        }
        noted
    }

    /// How far the records' clock has come, microseconds since 1970.
    pub(super) fn now_us(&self) -> i64 {
        self.now_us
    }

    /// Checks the streams by what was asked.
    pub(super) async fn checks(&self, asked: &Asked) -> Vec<Reconciliation> {
        self.checks_until(asked, &CancellationToken::new()).await
    }

    /// The same, until that is cancelled.
    pub(super) async fn checks_until(&self, asked: &Asked, stop: &CancellationToken) -> Vec<Reconciliation> {
        let registry = Registry::new(&self.settings.registry);
        let checker = Checker {
            catalog: &self.catalog,
            storage: &self.storage,
            reconcile: &self.settings.reconcile,
            streams: &self.settings.streams,
            registry: &registry,
        };
        checker.check(&self.source(&self.from), asked, stop).await.expect("checked")
    }

    /// Checks the streams, of which everything is published that was decided: what each check has found.
    pub(super) async fn found(&self) -> BTreeMap<String, StreamCheck> {
        let rows = self.checks(&self.asked()).await;
        let check = |row: Reconciliation| {
            assert!(row.comparable, "{row:?}");
            (row.metric, row.stream_check.expect("a check"))
        };
        rows.into_iter().map(check).collect()
    }

    /// Notes records that lie in the archive of the lanes' source for them to read.
    pub(super) fn reads(&mut self, rows: Vec<Row>) {
        self.unread.extend(rows);
    }
}

/// The log of a stream's topic.
pub(super) fn log_of(stream: &str) -> String {
    format!("topic-of-{stream}")
}

/// Headers as the archive keeps them.
pub(super) fn text(headers: &[(&'static str, Vec<u8>)]) -> Option<String> {
    headers_text(headers.iter().map(|(name, value)| (*name, Some(value.as_slice()))))
}

/// The record of an output of a map that re-keys, which an event of that upstream partition has caused.
pub(super) fn output(
    stream: &str,
    upstream: &PartitionId,
    position: OutputPosition,
    (partition, offset): (i32, i64),
    timestamp_us: i64,
    payload: String,
) -> Row {
    let definition = "0123456789abcdef".parse().expect("a hash");
    let headers = text(&output_headers(stream, upstream, position, &definition, true));
    let (timestamp_us, payload) = (Some(timestamp_us), Some(payload.into_bytes()));
    Row { partition, offset, timestamp_us, key: None, payload, headers }
}

/// The record of a mark.
pub(super) fn mark(stream: &str, partition: i32, offset: i64, timestamp_us: i64, mark: &Mark) -> Row {
    let headers = text(&mark_headers(stream, mark));
    Row { partition, offset, timestamp_us: Some(timestamp_us), key: None, payload: None, headers }
}

/// Records as a lane takes them, made by hand.
pub(super) fn records(source: &Source, from: i64, rows: &[Row]) -> Records {
    let (mut decoder, mut columns) = (Decoder::new(source), Columns::new(source, |_| true, 0));
    let mut records = Records { from, originals: Originals::default(), ..Records::default() };
    for row in rows {
        records.to = row.offset + 1;
        let headers = row.headers.as_deref().map(headers_of).unwrap_or_default();
        let headers = || headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
        if let Some(mark) = mark_of(headers()) {
            records.marks.push(MarkRecord { offset: row.offset, record_time_us: row.timestamp_us, mark });
        }
        let Ok(event) = decoder.decode(row.payload.as_deref(), row.timestamp_us) else { continue };
        if source.rekeyed {
            records.upstreams.push(upstream_of(headers()));
        }
        columns.push(&event);
        records.offsets.push(row.offset);
        records.record_times_us.push(row.timestamp_us);
        let identity = event.identity().expect("the source names an event id");
        records.sightings.push(Sighting { identity, offset: row.offset });
        records.originals.push(row.key.as_deref(), row.payload.as_deref().unwrap_or_default());
    }
    records.events = columns.finish().expect("columns");
    records
}
