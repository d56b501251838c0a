//! One version: what it counts, and what is known of its two views.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use platform::store::StoreError;
use shared_logic::catalog::{Catalog, DecodingRules, DefinitionHash, Metric};
use shared_logic::measure::MeasureKind;
use storage::Storage;
use tokio::task::JoinSet;

use super::host::Host;
use crate::asked::Asked;
use crate::problem::Problem;
use crate::reconciliations::ReconciliationTable;
use crate::reject_read::RejectReader;
use crate::report_read::ReportReader;
use crate::search_read::SearchReader;
use crate::snapshot::SnapshotCache;
use crate::speed_view::SpeedView;
use crate::stream_read::{LaneReader, StreamReader};
use crate::table_notes::TableNotes;
use crate::table_read::TableReader;
use crate::topics::TopicClient;

/// A source and a generation of streams over it.
type Lanes = (String, String);

/// One version. What runs for it in the background ends with it.
pub(crate) struct Version {
    pub(crate) catalog: Arc<Catalog>,
    /// What is counted of each metric.
    counted: BTreeMap<String, Counted>,
    pub(crate) snapshots: Arc<SnapshotCache>,
    pub(crate) speed: SpeedView,
    /// Reads rejected records.
    pub(crate) rejects: RejectReader,
    pub(crate) reconciliations: ReconciliationTable,
    /// How far tables are materialised.
    pub(crate) tables: TableNotes,
    pub(crate) streams: BTreeMap<String, Arc<StreamReader>>,
    /// Reads the rows of tables.
    pub(crate) rows: BTreeMap<String, TableReader>,
    pub(crate) reports: BTreeMap<String, Arc<ReportReader>>,
    /// Searches indexes.
    pub(crate) searches: BTreeMap<String, Arc<SearchReader>>,
    /// How far lanes have come that write streams of this version.
    lanes: BTreeMap<Lanes, LaneReader>,
    _background: JoinSet<()>,
}

/// What is counted of a metric.
struct Counted {
    definition: DefinitionHash,
    /// The rules of its source.
    rules: DecodingRules,
    kinds: Arc<[MeasureKind]>,
}

impl Version {
    /// The version that a catalog declares. Nothing is read yet; its topics are described and its snapshots taken from now on.
    ///
    /// # Errors
    /// If the store's location is none.
    pub(crate) fn new(catalog: &Arc<Catalog>, host: &Host) -> Result<Version, StoreError> {
        let storage = Storage::new(&host.store, &catalog.deployment)?;
        let snapshots = Arc::new(SnapshotCache::new(catalog, &storage, Arc::clone(&host.disk)));
        let streams = catalog.streams.values().map(|stream| {
            let (source, definition) = (&catalog.sources[&stream.name], catalog.stream_definition(stream));
            (stream.name.clone(), Arc::new(StreamReader::new(stream, source, definition, &snapshots, &host.access)))
        });
        let rows = catalog.tables.values().map(|table| {
            let (source, definition) = (&catalog.sources[&table.name], catalog.table_definition(table));
            (table.name.clone(), TableReader::new(table, source, definition, &catalog.deployment, &host.redis))
        });
        let searches = catalog.indexes.values().map(|index| {
            let reader = SearchReader::new(catalog, index, host.search.clone(), &snapshots, &host.topics);
            (index.name.clone(), Arc::new(reader))
        });
        let searches: BTreeMap<String, Arc<SearchReader>> = searches.collect();
        let counted = catalog.metrics.values().map(|metric| {
            let (definition, rules) = (catalog.definition(metric), catalog.sources[&metric.source].decoding_rules());
            let kinds = metric.measures.iter().map(|measure| measure.kind).collect();
            (metric.name.clone(), Counted { definition, rules, kinds })
        });
        Ok(Version {
            counted: counted.collect(),
            streams: streams.collect(),
            rows: rows.collect(),
            reports: ReportReader::all(catalog, &storage),
            lanes: lanes(catalog, &snapshots, host),
            speed: SpeedView::new(Arc::clone(&host.redis), catalog, host.serving.slice_memory, host.serving.sweep_max),
            rejects: RejectReader::new(&snapshots),
            reconciliations: ReconciliationTable::new(&storage),
            tables: TableNotes::new(catalog, &storage),
            _background: background(&snapshots, &searches, &host.topics, host.serving.refresh.get()),
            searches,
            catalog: Arc::clone(catalog),
            snapshots,
        })
    }

    /// Its name.
    pub(crate) fn version_name(&self) -> &str {
        &self.catalog.deployment.version
    }

    /// A metric of the catalog.
    ///
    /// # Errors
    /// [`Problem::no_metric`] if there is none with that name.
    pub(crate) fn metric(&self, name: &str) -> Result<&Metric, Problem> {
        self.catalog.metrics.get(name).ok_or_else(|| Problem::no_metric(name, self.catalog.metrics.keys().cloned()))
    }

    /// A stream of the catalog.
    ///
    /// # Errors
    /// [`Problem::no_stream`] if there is none with that name.
    pub(crate) fn stream(&self, name: &str) -> Result<&Arc<StreamReader>, Problem> {
        self.streams.get(name).ok_or_else(|| Problem::no_stream(name, self.streams.keys().cloned()))
    }

    /// A table of the catalog.
    ///
    /// # Errors
    /// [`Problem::no_table`] if there is none with that name.
    pub(crate) fn table(&self, name: &str) -> Result<&TableReader, Problem> {
        self.rows.get(name).ok_or_else(|| Problem::no_table(name, self.rows.keys().cloned()))
    }

    /// A report of the catalog.
    ///
    /// # Errors
    /// [`Problem::no_report`] if there is none with that name.
    pub(crate) fn report(&self, name: &str) -> Result<&Arc<ReportReader>, Problem> {
        self.reports.get(name).ok_or_else(|| Problem::no_report(name, self.reports.keys().cloned()))
    }

    /// A search index of the catalog.
    ///
    /// # Errors
    /// [`Problem::no_index`] if there is none with that name.
    pub(crate) fn search(&self, name: &str) -> Result<&Arc<SearchReader>, Problem> {
        let known = || self.searches.keys().map(String::as_str).collect::<Vec<&str>>();
        self.searches.get(name).ok_or_else(|| Problem::no_index(name, &known()))
    }

    /// How far the lanes have come that write a stream of the catalog.
    pub(crate) fn lanes(&self, stream: &StreamReader) -> &LaneReader {
        let generation = self.catalog.deployment.generation(&stream.stream.name);
        &self.lanes[&(stream.stream.from.clone(), generation.to_owned())]
    }

    /// The definition of a metric of the catalog.
    pub(crate) fn definition(&self, metric: &Metric) -> &DefinitionHash {
        &self.counted[&metric.name].definition
    }

    /// What is counted of a metric, and under which rules its records are decoded.
    pub(crate) fn asked<'a>(&'a self, metric: &'a Metric) -> Asked<'a> {
        let Counted { definition, rules, kinds } = &self.counted[&metric.name];
        Asked { metric, definition, rules, kinds, log_only: !self.catalog.deployment.keeps_archive }
    }
}

/// The readers of all lanes that write streams of a version. Those of a generation are the same, whichever versions share it.
fn lanes(catalog: &Catalog, snapshots: &Arc<SnapshotCache>, host: &Host) -> BTreeMap<Lanes, LaneReader> {
    let of = |from: &String, name: &String| (from.clone(), catalog.deployment.generation(name).to_owned());
    let all: BTreeSet<Lanes> = catalog.streams.values().map(|stream| of(&stream.from, &stream.name)).collect();
    let reader = |(source, generation): Lanes| {
        let lanes = catalog.lanes(&source, &generation);
        let reader = LaneReader::new(&lanes, &lanes.sources[&source], snapshots, &host.access);
        ((source, generation), reader)
    };
    all.into_iter().map(reader).collect()
}

/// What runs beside requests: topics are described, snapshots are taken, and it is looked how far indexes are, every so often.
fn background(
    snapshots: &Arc<SnapshotCache>,
    searches: &BTreeMap<String, Arc<SearchReader>>,
    topics: &Arc<dyn TopicClient>,
    every: Duration,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for watch in snapshots.topics() {
        let (watch, snapshots, topics) = (Arc::clone(watch), Arc::clone(snapshots), Arc::clone(topics));
        tasks.spawn(async move {
            loop {
                watch.refresh(topics.as_ref()).await;
                snapshots.renew_topics();
                tokio::time::sleep(every).await;
            }
        });
    }
    for reader in searches.values() {
        let reader = Arc::clone(reader);
        tasks.spawn(async move { reader.follow().await });
    }
    let snapshots = Arc::clone(snapshots);
    tasks.spawn(async move { snapshots.follow(every).await });
    tasks
}
