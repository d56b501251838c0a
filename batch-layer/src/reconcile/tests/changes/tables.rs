//! The tables of one deployment whose catalog changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use platform::store::Committed;
use polars::prelude::{DataFrame, Expr, IntoLazy, Schema, SortMultipleOptions, col};
use shared_logic::catalog::KeptBytes;
use shared_logic::complete::{Evidence, Shards, Standing, TopicState, Why};
use shared_logic::contracts::archive::{HASH, OFFSET, OlderLayout, PARTITION, RAW, record_columns};
use shared_logic::contracts::batch_view::BUCKET;
use shared_logic::contracts::speed_view::{Instance, Shard};
use shared_logic::decode::Decoder;
use shared_logic::log::{OffsetRange, PartitionId};
use shared_logic::partial;
use storage::Schemas;

use super::super::*;
use crate::archive::buffer::Buffer;
use crate::archive::replace::{self, ReadAgain, Replacement};
use crate::archive::{commit, compact};
use crate::archive_rows::erased;
use crate::archive_rows::record_rows::Incoming;
use crate::erase::commits::TakingOut;
use crate::erase::{Condition, TakenOut};
use crate::{archive, rows};

pub(super) const LOG: &str = "log";
pub(super) const PARTITIONS: i32 = 2;

/// What was sent: per partition, the payloads with the record's time in milliseconds.
pub(super) type Sent = BTreeMap<i32, Vec<(Option<Vec<u8>>, i64)>>;

/// One deployment's tables: the archive of the source `s`, and the view of the metric `m` over it. A shard of each partition
/// is taken to have counted what lies above the cut, and Redis is not asked.
pub(super) struct Tables {
    settings: Settings,
    storage: Storage,
    /// As processes that go on running know them.
    archive: Option<Archive>,
    view: Option<BatchView>,
    /// How much of each partition is archived.
    pub(super) next: BTreeMap<i32, i64>,
    /// Holds everything, and goes when it is dropped.
    _folder: tempfile::TempDir,
}

impl Tables {
    /// Without any table. All catalogs have the deployment of this one.
    pub(super) fn new(catalog: &Catalog) -> Tables {
        // In memory where that is possible: what is tested here does not depend on whether a commit is durable.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
        let store = settings::Store { url: folder.path().display().to_string(), ..Default::default() };
        let settings = Settings { store, ..Settings::default() };
        let storage = Storage::new(&settings.store, &catalog.deployment).expect("a store");
        let next = (0..PARTITIONS).map(|partition| (partition, 0)).collect();
        Tables { settings, storage, archive: None, view: None, next, _folder: folder }
    }

    /// Where the tables lie.
    pub(super) fn storage(&self) -> &Storage {
        &self.storage
    }

    /// From now on, tables are as a process knows them that has just been started.
    pub(super) fn reopen(&mut self) {
        (self.archive, self.view) = (None, None);
    }

    /// The archive as a new reader finds it.
    pub(super) async fn archive(&self) -> Archive {
        self.storage.archive("s").await.expect("read").expect("archived")
    }

    /// The archive as an archiver with that catalog has registered it.
    pub(super) async fn registered(&mut self, catalog: &Catalog) -> &mut Archive {
        let source = &catalog.sources["s"];
        let known = match self.archive.take() {
            Some(known) => known,
            None => archive::create(&self.storage, source).await.expect("opened"),
        };
        let archive = self.archive.insert(known);
        archive.refresh().await.expect("read");
        let before = archive.facts();
        let mut facts = before.clone();
        facts.keep_bytes(&source.rules(), OlderLayout::of(source, &archive.columns().expect("read")));
        (0..PARTITIONS).for_each(|partition| facts.begin(&PartitionId::new(LOG, partition), 0));
        let columns = commit::missing_columns(archive, source).expect("read");
        if facts != before || columns.is_some() {
            let committed = commit::facts(archive, facts, columns.as_ref()).await.expect("tried");
            assert!(matches!(committed, Committed::At(_)), "there is no other writer");
        }
        archive
    }

    /// An archiver with that catalog starts. If its source keeps no bytes of events, it archives again what its rules cannot
    /// decode, from a log that holds everything that was sent.
    pub(super) async fn started(&mut self, catalog: &Catalog, sent: &Sent) {
        self.registered(catalog).await;
        if catalog.sources["s"].kept_bytes == KeptBytes::Rejected {
            let replaced = self.archived_again(catalog, sent).await;
            assert!(matches!(replaced, None | Some(Replacement::At(_))), "{replaced:?}");
        }
    }

    /// Archives again what the catalog's rules cannot decode, from a log that holds these records. `None`: there is nothing.
    pub(super) async fn archived_again(&mut self, catalog: &Catalog, log: &Sent) -> Option<Replacement> {
        let source = &catalog.sources["s"];
        let archive = self.registered(catalog).await;
        let (facts, rules) = (archive.facts(), source.decoding_rules());
        let ranges = facts.not_decodable(&rules).map(|(id, range)| OffsetRange { id, from: range.from, to: range.to });
        let ranges: Vec<OffsetRange> = ranges.collect();
        let begins = (0..PARTITIONS).map(|partition| (partition, 0)).collect();
        let erased = Arc::new(erased::places(archive, &ranges).await.expect("read"));
        let declared = archive.columns().expect("read");
        let mut buffer = Buffer::new(source, &declared, LOG, &begins).with_erased(&erased);
        let mut decoder = Decoder::new(source);
        let mut again = ReadAgain { erased_parts: facts.erased_parts(), ..ReadAgain::default() };
        for OffsetRange { id, from, to } in &ranges {
            let partition = id.partition;
            for (offset, (payload, time_ms)) in (*from..*to).zip(log[&partition].iter().skip(*from as usize)) {
                let (payload, timestamp_us) = (payload.as_deref(), Some(time_ms * 1_000));
                let record = Incoming { partition, offset, timestamp_us, key: None, payload, headers: None };
                again.digest.add(partition, offset, timestamp_us, Some(record.content().short_hash()));
                buffer.push(record, &mut decoder);
            }
        }
        if ranges.is_empty() {
            return None;
        }
        again.files = commit::write(archive, buffer).await.expect("written");
        Some(replace::replace(archive, source, &ranges, &again).await.expect("tried"))
    }

    /// Erases what a condition selects, as that catalog decodes records.
    pub(super) async fn erased(&mut self, catalog: &Catalog, condition: &str) -> TakenOut {
        self.erased_with(catalog, condition, None).await
    }

    /// The same, and invalid records that hold that text.
    pub(super) async fn erased_with(
        &mut self,
        catalog: &Catalog,
        condition: &str,
        invalid_with: Option<&str>,
    ) -> TakenOut {
        let source = &catalog.sources["s"];
        let schemas = Schemas::new(&self.storage, "s", &Registry::new(&self.settings.registry));
        let condition = Condition::parse(source, condition, invalid_with).expect("a condition");
        let archive = self.registered(catalog).await;
        TakingOut::new(source, schemas, &condition, 1).run(archive).await.expect("erased")
    }

    /// Archives the next records of a partition.
    pub(super) async fn archived(&mut self, catalog: &Catalog, sent: &Sent, partition: i32, count: usize) {
        let source = &catalog.sources["s"];
        let declared = self.registered(catalog).await.columns().expect("read");
        let (mut buffer, mut decoder) = (Buffer::new(source, &declared, LOG, &self.next), Decoder::new(source));
        let next = self.next.get_mut(&partition).expect("a partition");
        for (payload, time_ms) in sent[&partition].iter().skip(*next as usize).take(count) {
            let (payload, timestamp_us) = (payload.as_deref(), Some(time_ms * 1_000));
            let record = Incoming { partition, offset: *next, timestamp_us, key: None, payload, headers: None };
            buffer.push(record, &mut decoder);
            *next += 1;
        }
        let archive = self.registered(catalog).await;
        let committed = commit::rows(archive, source, buffer, &BTreeMap::new()).await.expect("written");
        assert!(matches!(committed, Committed::At(_)), "there is no other writer");
    }

    /// Compacts the archive; two small files of a day are enough to be merged.
    pub(super) async fn compacted(&mut self, catalog: &Catalog) {
        let schemas = Schemas::new(&self.storage, "s", &Registry::new(&self.settings.registry));
        let archive = self.registered(catalog).await;
        compact::compact(archive, &catalog.sources["s"], &schemas, 2).await.expect("compacted");
    }

    /// The archive and the view as processes that go on running know them.
    async fn known(&mut self, catalog: &Catalog) -> (Archive, BatchView) {
        let archive = match &self.archive {
            Some(known) => known.clone(),
            None => self.archive().await,
        };
        let view = match self.view.take() {
            Some(known) => known,
            None => view::create(&self.storage, catalog, &catalog.metrics["m"]).await.expect("created"),
        };
        (archive, view)
    }

    /// Goes on with the rebuild of a view that counts another definition, by one day.
    pub(super) async fn rebuilds_a_day(&mut self, catalog: &Catalog) {
        let reconciler = Reconciler::new(&self.settings, &self.storage, catalog);
        let metric = &catalog.metrics["m"];
        let (archive, view) = self.known(catalog).await;
        if reconciler.counted(metric, &view, &archive, true).await.expect("read").is_none() {
            let (stop, now) = (CancellationToken::new(), Instant::now());
            let turn = Turn { wait_until: now, until: now, stop: &stop };
            reconciler.step(metric, &view, &archive, &Rotated::new(), &turn).await.expect("advanced");
        }
        self.view = Some(view);
    }

    /// Reconciles up to the end of the archive, and returns what the view holds.
    pub(super) async fn reconciled(&mut self, catalog: &Catalog) -> DataFrame {
        let reconciler = Reconciler::new(&self.settings, &self.storage, catalog);
        let metric = &catalog.metrics["m"];
        let counted = loop {
            let (archive, view) = self.known(catalog).await;
            let counted = reconciler.counted(metric, &view, &archive, true).await.expect("read");
            self.view = Some(view);
            match counted {
                Some(counted) => break counted,
                None => self.rebuilds_a_day(catalog).await,
            }
        };
        let (archive, mut view) = self.known(catalog).await;
        let recounted = reconciler.recount(metric, &view, &counted, &archive, &Rotated::new()).await;
        let (plan, done) = recounted.expect("recounted");
        let changed = reconciler.commit(metric, &mut view, plan, done).await.expect("tried");
        changed.expect("there is no other reconcile");
        let source = &catalog.sources["s"];
        let (columns, plan) = (view::columns_in_memory(source, metric), shared_logic::plan::Plan::new(source, metric));
        let rows = view.read(&view.files().await.expect("listed"), &columns).await.expect("read");
        let merge = move || {
            let rows = plan.merge_rows(&rows.rename([BUCKET], [partial::BUCKET], true).collect()?)?;
            let by_all: Vec<Expr> = rows.columns().iter().map(|column| col(column.name().clone())).collect();
            rows.lazy().sort_by_exprs(by_all, SortMultipleOptions::default()).collect()
        };
        let rows = rows::compute("read", view.path(), merge).await.expect("decoded");
        self.view = Some(view);
        rows
    }

    /// Reconciles up to the end of the archive, and returns how many events the view's measure `events` counts.
    pub(super) async fn counted(&mut self, catalog: &Catalog) -> i64 {
        let rows = self.reconciled(catalog).await;
        rows.column("events").expect("a measure").i64().expect("a count").iter().flatten().sum()
    }

    /// What an answer by that catalog lacks after the reconcile, if each shard has counted the metric since the cut.
    pub(super) async fn lacks(&self, catalog: &Catalog) -> Vec<(i32, Why)> {
        let metric = &catalog.metrics["m"];
        let definition = catalog.definition(metric);
        let view = view::create(&self.storage, catalog, metric).await.expect("opened");
        let note = view.note().expect("reconciled");
        assert_eq!(note.definition, definition, "the view counts this catalog's definition");
        let shard = |cut: i64| Shard {
            cursor: cut,
            slices: vec![cut],
            definitions: [(definition.clone(), cut)].into(),
            instance: Instance::new(1),
            witnesses: vec![None, None],
            truncated: None,
        };
        let shards: Shards = note.cut.iter().map(|(id, cut)| (id.clone(), Some(shard(cut)))).collect();
        let archive = self.archive().await;
        let standing = Standing::of(&Evidence {
            definition: &definition,
            rules: &catalog.sources["s"].decoding_rules(),
            view: Some(note.as_ref()),
            archive: Some(&archive.facts()),
            archive_version: archive.version(),
            topic: Some(&TopicState { log: Some((LOG.to_owned(), PARTITIONS)), at_us: 0 }),
            log_only: false,
        });
        let named = |id: Option<PartitionId>| id.expect("a gap of a partition").partition;
        standing.judge(&shards, |_| None).gaps.into_iter().map(|gap| (named(gap.partition), gap.why)).collect()
    }

    /// Columns of every archived row.
    pub(super) async fn rows(&self, columns: &Schema) -> DataFrame {
        let archive = self.archive().await;
        let rows = archive.read(&archive.files().await.expect("listed"), columns).await.expect("read");
        rows::compute("read", archive.path(), move || rows.collect()).await.expect("decoded")
    }

    /// The bytes of every record that is archived, by partition and offset.
    pub(super) async fn bytes(&self) -> Vec<(i32, i64, Option<Vec<u8>>)> {
        let raw = |rows: &DataFrame, row: usize| {
            let raws = rows.column(RAW).expect("a column").binary().expect("bytes");
            raws.get(row).map(<[u8]>::to_vec)
        };
        self.by_place(raw).await
    }

    /// The hash of every record that is archived, by partition and offset.
    pub(super) async fn hashes(&self) -> Vec<(i32, i64, Option<i32>)> {
        self.by_place(|rows, row| rows.column(HASH).expect("a column").i32().expect("32 bits").get(row)).await
    }

    /// A value of every archived row, by partition and offset.
    async fn by_place<T: Ord>(&self, value: impl Fn(&DataFrame, usize) -> T) -> Vec<(i32, i64, T)> {
        let rows = self.rows(&record_columns().into_iter().collect()).await;
        let column = |name| rows.column(name).expect("a column");
        let (partitions, offsets) = (column(PARTITION).i32().expect("int"), column(OFFSET).i64().expect("long"));
        let row = |row| (partitions.get(row).expect("named"), offsets.get(row).expect("named"), value(&rows, row));
        let mut all: Vec<_> = (0..rows.height()).map(row).collect();
        all.sort();
        all
    }
}
