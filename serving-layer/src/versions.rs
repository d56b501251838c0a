//! The versions of the deployment that this process serves.
//!
//! A version has its own catalog, so it has its own batch views and shards, and everything that is known of them is kept here
//! per version. There is one version today, the active one.

use std::collections::BTreeMap;
use std::sync::Arc;

use platform::settings;
use shared_logic::catalog::{Catalog, DecodingRules, DefinitionHash, Metric};
use shared_logic::measure::MeasureKind;
use storage::Storage;

use crate::asked::Asked;
use crate::batch_view::Disk;
use crate::problem::Problem;
use crate::reconciliations::ReconciliationTable;
use crate::redis_link::RedisLink;
use crate::report_read::ReportReader;
use crate::snapshot::SnapshotCache;
use crate::speed_view::SpeedView;
use crate::stream_read::{Access, LaneReader, StreamReader};
use crate::table_notes::TableNotes;
use crate::table_read::TableReader;

/// Every version that is served.
pub(crate) struct Versions {
    active: Arc<Version>,
}

impl Versions {
    /// Serves one version, which is the active one.
    pub(crate) fn of(active: Version) -> Versions {
        Versions { active: Arc::new(active) }
    }

    /// The version that answers a request which names none.
    pub(crate) fn active(&self) -> &Arc<Version> {
        &self.active
    }

    /// All versions.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Version>> {
        [&self.active].into_iter()
    }
}

/// One version: what it counts, and what is known of its two views.
pub(crate) struct Version {
    pub(crate) catalog: Catalog,
    /// What is counted of each metric.
    counted: BTreeMap<String, Counted>,
    pub(crate) snapshots: Arc<SnapshotCache>,
    pub(crate) speed: SpeedView,
    pub(crate) reconciliations: ReconciliationTable,
    /// How far tables are materialised.
    pub(crate) tables: TableNotes,
    pub(crate) streams: BTreeMap<String, Arc<StreamReader>>,
    /// Reads the rows of tables.
    pub(crate) rows: BTreeMap<String, TableReader>,
    pub(crate) reports: BTreeMap<String, Arc<ReportReader>>,
    /// By source, how far the lanes over it have come; only of sources that streams read.
    lanes: BTreeMap<String, LaneReader>,
}

/// What is counted of a metric.
struct Counted {
    definition: DefinitionHash,
    /// The rules of its source.
    rules: DecodingRules,
    kinds: Arc<[MeasureKind]>,
}

impl Version {
    /// The version that a catalog declares. Nothing is read yet.
    pub(crate) fn new(
        catalog: Catalog,
        storage: &Storage,
        disk: Arc<Disk>,
        redis: Arc<RedisLink>,
        access: &Arc<Access>,
        settings: &settings::Serving,
    ) -> Version {
        let snapshots = Arc::new(SnapshotCache::new(&catalog, storage, disk));
        let streams = catalog.streams.values().map(|stream| {
            let (source, definition) = (&catalog.sources[&stream.name], catalog.stream_definition(stream));
            (stream.name.clone(), Arc::new(StreamReader::new(stream, source, definition, &snapshots, access)))
        });
        let lanes = catalog.streams.values().map(|stream| &catalog.sources[&stream.from]);
        let lanes = lanes.map(|source| (source.name.clone(), LaneReader::new(&catalog, source, &snapshots, access)));
        let rows = catalog.tables.values().map(|table| {
            let (source, definition) = (&catalog.sources[&table.name], catalog.table_definition(table));
            (table.name.clone(), TableReader::new(table, source, definition, &catalog.deployment, &redis))
        });
        let counted = catalog.metrics.values().map(|metric| {
            let (definition, rules) = (catalog.definition(metric), catalog.sources[&metric.source].decoding_rules());
            let kinds = metric.measures.iter().map(|measure| measure.kind).collect();
            (metric.name.clone(), Counted { definition, rules, kinds })
        });
        Version {
            counted: counted.collect(),
            streams: streams.collect(),
            rows: rows.collect(),
            reports: ReportReader::all(&catalog, storage),
            lanes: lanes.collect(),
            snapshots,
            speed: SpeedView::new(redis, &catalog, settings.slice_memory),
            reconciliations: ReconciliationTable::new(storage),
            tables: TableNotes::new(&catalog, storage),
            catalog,
        }
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

    /// How far the lanes have come that write a stream of the catalog.
    pub(crate) fn lanes(&self, stream: &StreamReader) -> &LaneReader {
        &self.lanes[&stream.stream.from]
    }

    /// The definition of a metric of the catalog.
    pub(crate) fn definition(&self, metric: &Metric) -> &DefinitionHash {
        &self.counted[&metric.name].definition
    }

    /// What is counted of a metric, and under which rules its records are decoded.
    pub(crate) fn asked<'a>(&'a self, metric: &'a Metric) -> Asked<'a> {
        let Counted { definition, rules, kinds } = &self.counted[&metric.name];
        Asked { metric, definition, rules, kinds }
    }
}
