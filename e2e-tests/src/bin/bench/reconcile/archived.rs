//! An archive of made-up events, written as the archiver writes it: without Kafka, and without the bytes of records.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use e2e_tests::scenario::now_us;
use futures::{StreamExt, TryStreamExt, stream};
use platform::settings;
use platform::store::{Commit, Committed, DataFile, Store, Table};
use polars::prelude::{AnyValue, Column, DataFrame, DataType, IntoColumn, Scalar, Schema, StringChunkedBuilder};
use shared_logic::catalog::{Catalog, Source};
use shared_logic::contracts::archive::{
    self, Facts, LOG, OFFSET, PARTITION, PARTITION_OFFSETS, RULES, TIMESTAMP, record_columns,
};
use shared_logic::log::PartitionId;
use shared_logic::schema::INSTANT;
use shared_logic::time::{day_of, format_day};

/// The topic's id.
const TOPIC: &str = "bench";
const PARTITIONS: i32 = 4;
/// How many files are written at once.
const WRITES: usize = 16;

/// What an event says.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) id: u64,
    pub(crate) at_us: i64,
    pub(crate) video: u32,
}

/// A record: its partition, its offset and its event.
type Row<'a> = (i32, i64, &'a Event);

/// The archive of the source `views`.
pub(crate) struct Archived {
    store: Store,
    table: Table,
    facts: Facts,
    source: Source,
    next: BTreeMap<i32, i64>,
}

/// A store on local disk.
pub(crate) fn in_folder(folder: &Path) -> settings::Store {
    settings::Store { url: folder.display().to_string(), ..settings::Store::default() }
}

impl Archived {
    /// An empty one in that store, for the deployment that the catalog names.
    pub(crate) async fn create(store: &settings::Store, catalog: &str) -> Result<Archived> {
        let mut catalog = Catalog::parse(catalog).map_err(|mistakes| anyhow!("{mistakes:?}"))?;
        let source = catalog.sources.remove("views").context("the catalog has no source")?;
        let store = Store::new(store, &catalog.deployment.name)?;
        let fields = source.fields.iter().map(|field| (field.name.as_str().into(), field.kind.table_type()));
        let columns: Schema = record_columns().into_iter().chain(fields).collect();
        let table = store.open_or_create(&archive::path(&source.name), &columns, archive::DAY).await?;
        let mut facts = Facts::default();
        facts.keep_bytes(&source.rules(), None);
        (0..PARTITIONS).for_each(|partition| facts.begin(&PartitionId::new(TOPIC, partition), 0));
        let next = (0..PARTITIONS).map(|partition| (partition, 0)).collect();
        Ok(Archived { store, table, facts, source, next })
    }

    /// How long a new reader takes to open the archive, and the files that it finds, by day.
    pub(crate) async fn opened(&self) -> Result<(Duration, BTreeMap<String, Vec<DataFile>>)> {
        let begun = Instant::now();
        let table = self.store.open(self.table.path()).await?.context("it was created")?;
        let took = begun.elapsed();
        Ok((took, DataFile::by_partition(table.files().await?)))
    }

    /// How many events there are, and where their files lie, if that is on local disk.
    pub(crate) async fn events(&self) -> Result<(u64, Vec<PathBuf>)> {
        let folder = self.store.folder().context("it lies on S3")?.join(self.table.path());
        let (_, days) = self.opened().await?;
        let files = || days.values().flatten();
        Ok((files().map(|file| file.rows).sum(), files().map(|file| folder.join(&file.path)).collect()))
    }

    /// Writes a checkpoint, as the archiver does now and then.
    pub(crate) async fn checkpoint(&self) -> Result<()> {
        Ok(self.table.checkpoint().await?)
    }

    /// Archives events in one commit: a file for each day, sorted by partition and offset. Copies are in one partition, as
    /// producers send them by their key.
    pub(crate) async fn commit(&mut self, events: &[Event]) -> Result<()> {
        self.commit_in_files(events, usize::MAX).await
    }

    /// The same in files of at most so many rows.
    pub(crate) async fn commit_in_files(&mut self, events: &[Event], rows_max: usize) -> Result<()> {
        let mut days: BTreeMap<i64, Vec<Row<'_>>> = BTreeMap::new();
        for event in events {
            let partition = event.video as i32 % PARTITIONS;
            let next = self.next.get_mut(&partition).context("a partition")?;
            days.entry(day_of(event.at_us)).or_default().push((partition, *next, event));
            *next += 1;
        }
        let files = self.write(&days, rows_max).await?;
        for (partition, next) in &self.next {
            let id = PartitionId::new(TOPIC, *partition);
            let before = self.facts.partition(&id).context("begun")?.next;
            ensure!(self.facts.advance(&id, before, *next), "the archive stands elsewhere");
        }
        let commit = Commit::new("ARCHIVE", archive::DAY, now_us()).adding(files);
        let committed = self.table.commit(commit.note(archive::FACTS_DOMAIN, &self.facts)).await?;
        ensure!(matches!(committed, Committed::At(_)), "another process writes to the archive");
        Ok(())
    }

    async fn write(&self, days: &BTreeMap<i64, Vec<Row<'_>>>, rows_max: usize) -> Result<Vec<DataFile>> {
        let parts = days.iter().flat_map(|(day, rows)| rows.chunks(rows_max).map(move |rows| (format_day(*day), rows)));
        let written = parts.map(|(day, rows)| async move {
            let mut rows = rows.to_vec();
            rows.sort_by_key(|(partition, offset, _)| (*partition, *offset));
            let ranged = [LOG, PARTITION, OFFSET, PARTITION_OFFSETS, RULES, "occurred_at"];
            anyhow::Ok(self.table.write(&day, self.frame(&rows)?, &ranged).await?)
        });
        stream::iter(written).buffered(WRITES).try_collect().await
    }

    fn frame(&self, rows: &[Row<'_>]) -> Result<DataFrame> {
        let count = rows.len();
        let same = |name: &str, text: &str| {
            let scalar = Scalar::new(DataType::String, AnyValue::StringOwned(text.into()));
            Column::new_scalar(name.into(), scalar, count)
        };
        let texts = |name: &str, write: fn(&mut String, &Event) -> fmt::Result| {
            let (mut column, mut text) = (StringChunkedBuilder::new(name.into(), count), String::new());
            for (_, _, event) in rows {
                text.clear();
                write(&mut text, event)?;
                column.append_value(&text);
            }
            anyhow::Ok(column.finish().into_column())
        };
        let ints = |name: &str, int: fn(&Event) -> i64| {
            Column::new(name.into(), rows.iter().map(|(_, _, event)| int(event)).collect::<Vec<_>>())
        };
        let mut columns = BTreeMap::new();
        let mut add = |column: Column| {
            columns.insert(column.name().to_string(), column);
        };
        add(same(LOG, TOPIC));
        add(same(RULES, self.source.rules().as_str()));
        add(Column::new(PARTITION.into(), rows.iter().map(|row| row.0).collect::<Vec<_>>()));
        add(Column::new(OFFSET.into(), rows.iter().map(|row| row.1).collect::<Vec<_>>()));
        add(ints(TIMESTAMP, |event| event.at_us).cast(&INSTANT)?);
        add(ints("occurred_at", |event| event.at_us).cast(&INSTANT)?);
        add(texts("event_id", |text, event| write!(text, "{:016x}", event.id))?);
        add(texts("video_id", |text, event| write!(text, "v{}", event.video))?);
        add(texts("user_id", |text, event| write!(text, "u{}", event.id.wrapping_mul(7_919) % 100_000))?);
        add(texts("url", |text, event| write!(text, "/watch/v{}", event.video))?);
        add(ints("status", |event| if event.id % 20 == 0 { 404 } else { 200 }));
        add(ints("dwell_ms", |event| (event.id.wrapping_mul(104_729) % 10_000) as i64));
        let fields = self.source.fields.iter().map(|field| (field.name.as_str().into(), field.kind.table_type()));
        let all = record_columns().into_iter().chain(fields).map(|(name, dtype)| {
            columns.remove(name.as_str()).unwrap_or_else(|| Column::full_null(name, count, &dtype))
        });
        Ok(DataFrame::new(count, all.collect())?)
    }
}
