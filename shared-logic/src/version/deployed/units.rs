//! What processes run for the versions of a deployment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::DeployedVersions;
use crate::catalog::{Catalog, DefinitionHash};

/// Versions that share something, with their catalogs.
type Sharers<'a> = Vec<(&'a str, &'a Arc<Catalog>)>;

/// The counting of one source for one version, by the speed layer.
#[derive(Debug, Clone, PartialEq)]
pub struct CountUnit {
    /// The version.
    pub version: String,
    /// The source.
    pub source: String,
    /// Its catalog.
    pub catalog: Arc<Catalog>,
    /// Whether it is the active version. The others must not slow it down.
    pub is_active: bool,
}

/// The lanes over one source of one generation (T3). No other lanes write to its streams.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneUnit {
    /// The source that they read.
    pub source: String,
    /// The generation, after which their progress, their outputs and their transactional ids are called.
    pub generation: String,
    /// The version by whose catalog they are run.
    pub host: String,
    /// The streams.
    pub streams: Vec<String>,
    /// The catalog of these lanes, see [`Catalog::lanes`].
    pub catalog: Arc<Catalog>,
}

/// The rows of one table of one generation: in Redis, and materialised.
#[derive(Debug, Clone, PartialEq)]
pub struct RowsUnit {
    /// The table.
    pub table: String,
    /// The generation.
    pub generation: String,
    /// The version by whose catalog they are kept.
    pub host: String,
    /// Its catalog.
    pub catalog: Arc<Catalog>,
}

/// A search index of one definition, which versions share if it is the same in all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexUnit {
    /// The index.
    pub index: String,
    /// Its definition.
    pub definition: DefinitionHash,
    /// The source whose records are read.
    pub source: String,
    /// The version by whose catalog it is kept: the oldest one that has it.
    pub host: String,
    /// Its catalog.
    pub catalog: Arc<Catalog>,
    /// Whether the active version has it. Only such an index has the alias.
    pub is_active: bool,
}

/// The archive of one source.
#[derive(Debug, Clone, PartialEq)]
pub struct ArchiveUnit {
    /// The archive's name.
    pub archive: String,
    /// The source, as the owner calls it.
    pub source: String,
    /// The version by whose catalog records are decoded when they are archived.
    pub owner: String,
    /// Its catalog.
    pub catalog: Arc<Catalog>,
}

impl CountUnit {
    /// What the unit is, whatever its catalog says besides.
    pub fn key(&self) -> (&str, &str) {
        (&self.version, &self.source)
    }
}

impl LaneUnit {
    /// What the unit is. Lanes that get other streams, or another host, are begun anew.
    pub fn key(&self) -> (&str, &str, &str, &[String]) {
        (&self.source, &self.generation, &self.host, &self.streams)
    }
}

impl RowsUnit {
    /// What the unit is.
    pub fn key(&self) -> (&str, &str, &str) {
        (&self.table, &self.generation, &self.host)
    }
}

impl IndexUnit {
    /// What the unit is.
    pub fn key(&self) -> (&str, &DefinitionHash, &str) {
        (&self.index, &self.definition, &self.host)
    }
}

impl ArchiveUnit {
    /// What the unit is. An archiver of another owner is begun anew.
    pub fn key(&self) -> (&str, &str) {
        (&self.archive, &self.owner)
    }
}

impl DeployedVersions {
    /// What the speed layer counts: every source with metrics, of every version that is counted.
    pub fn counted(&self) -> Vec<CountUnit> {
        let mut units = Vec::new();
        for (version, catalog) in self.following() {
            let with_metrics: BTreeSet<&String> = catalog.metrics.values().map(|metric| &metric.source).collect();
            units.extend(with_metrics.into_iter().map(|source| CountUnit {
                version: version.to_owned(),
                source: source.clone(),
                catalog: Arc::clone(catalog),
                is_active: version == self.active_name(),
            }));
        }
        units
    }

    /// The lanes that run. Streams of a version that is not counted yet are not written.
    pub fn lanes(&self) -> Vec<LaneUnit> {
        // By source and generation, the versions that have such streams.
        let mut sharers: BTreeMap<(&str, &str), Sharers<'_>> = BTreeMap::new();
        for (version, catalog) in self.following() {
            for source in catalog.sources.keys() {
                for generation in catalog.generations_over(source) {
                    sharers.entry((source.as_str(), generation)).or_default().push((version, catalog));
                }
            }
        }
        let unit = |((source, generation), sharers): ((&str, &str), Sharers<'_>)| {
            let (host, catalog) = host(&sharers, generation)?;
            let mut lanes = catalog.lanes(source, generation);
            // A version that shares a stream with one whose file has lost it needs it all the same.
            for (_, sharer) in &sharers {
                add_missing(&mut lanes, sharer, source, generation);
            }
            let streams = lanes.streams.keys().cloned().collect();
            let (source, generation, host) = (source.to_owned(), generation.to_owned(), host.to_owned());
            Some(LaneUnit { source, generation, host, streams, catalog: Arc::new(lanes) })
        };
        sharers.into_iter().filter_map(unit).collect()
    }

    /// The rows of tables that are kept.
    pub fn rows(&self) -> Vec<RowsUnit> {
        let mut sharers: BTreeMap<(&str, &str), Sharers<'_>> = BTreeMap::new();
        for (version, catalog) in self.following() {
            for table in catalog.tables.keys() {
                let generation = catalog.deployment.table_generation(table);
                sharers.entry((table.as_str(), generation)).or_default().push((version, catalog));
            }
        }
        let unit = |((table, generation), sharers): ((&str, &str), Sharers<'_>)| {
            let (host, catalog) = host(&sharers, generation)?;
            let (table, generation, host) = (table.to_owned(), generation.to_owned(), host.to_owned());
            Some(RowsUnit { table, generation, host, catalog: Arc::clone(catalog) })
        };
        sharers.into_iter().filter_map(unit).collect()
    }

    /// The search indexes that are kept: of every version that is counted, each definition once.
    pub fn indexes(&self) -> Vec<IndexUnit> {
        let mut units: BTreeMap<(&str, String), IndexUnit> = BTreeMap::new();
        for (version, catalog) in self.following() {
            for index in catalog.indexes.values() {
                let definition = catalog.index_definition(index);
                let unit = units.entry((index.name.as_str(), definition.to_string())).or_insert_with(|| IndexUnit {
                    index: index.name.clone(),
                    definition,
                    source: index.from.source().to_owned(),
                    host: version.to_owned(),
                    catalog: Arc::clone(catalog),
                    is_active: false,
                });
                unit.is_active |= version == self.active_name();
            }
        }
        units.into_values().collect()
    }

    /// The search indexes that the reconcile of a source for that version builds and checks: those that it is the host of (I4, I5).
    pub fn checks_indexes(&self, version: &str, source: &str) -> Vec<IndexUnit> {
        self.indexes().into_iter().filter(|unit| unit.host == version && unit.source == source).collect()
    }

    /// Every archive once. Records are decoded by the active version's catalog if it has the source, so that its reconciles read columns; other
    /// versions decode from the bytes where their rules differ (R11). Archives of versions that are created and not counted yet are written as
    /// well, so that nothing is missing when they are.
    pub fn archived(&self) -> Vec<ArchiveUnit> {
        let mut units: BTreeMap<String, ArchiveUnit> = BTreeMap::new();
        let active_first = std::iter::once((self.active_name(), self.active())).chain(self.living());
        for (version, catalog) in active_first {
            for source in catalog.sources.keys().filter(|_| catalog.deployment.keeps_archive) {
                let archive = catalog.deployment.archive_name(source).into_owned();
                units.entry(archive.clone()).or_insert_with(|| ArchiveUnit {
                    archive,
                    source: source.clone(),
                    owner: version.to_owned(),
                    catalog: Arc::clone(catalog),
                });
            }
        }
        units.into_values().collect()
    }

    /// The lanes over a source whose check belongs to the reconcile of that source for that version: those that it is the host of.
    pub fn checks_lanes(&self, version: &str, source: &str) -> Vec<LaneUnit> {
        self.lanes().into_iter().filter(|unit| unit.host == version && unit.source == source).collect()
    }

    /// The lanes that a verification of that version checks: those whose check belongs to it anyway, and those of its own streams, whoever
    /// hosts them (K6, K7).
    pub fn proves_lanes(&self, version: &str, source: &str) -> Vec<LaneUnit> {
        let own = self.own_streams(version);
        let Some(catalog) = self.version(version) else { return Vec::new() };
        let is_own = |unit: &LaneUnit| {
            let is_written = |stream: &&str| catalog.deployment.generation(stream) == unit.generation;
            own.iter().any(|stream| catalog.streams[*stream].from == source && is_written(stream))
        };
        let units = self.lanes().into_iter().filter(|unit| unit.source == source);
        units.filter(|unit| unit.host == version || is_own(unit)).collect()
    }

    /// Whether a table is materialised with the reconcile of its source for that version: if it is the host of its rows.
    pub fn materialises(&self, version: &str, table: &str) -> bool {
        self.rows().iter().any(|unit| unit.host == version && unit.table == table)
    }

    /// The version that writes reports: what belongs to the deployment is written by the active one alone (K2).
    pub fn reports(&self) -> &str {
        self.active_name()
    }

    fn following(&self) -> impl Iterator<Item = (&str, &Arc<Catalog>)> {
        self.living().filter(move |(name, _)| self.stage(name).is_some_and(|stage| stage.is_counted()))
    }
}

/// By whose catalog something of a generation is written, of those that share it, the oldest first.
fn host<'a>(sharers: &[(&'a str, &'a Arc<Catalog>)], generation: &str) -> Option<(&'a str, &'a Arc<Catalog>)> {
    let own = sharers.iter().find(|(version, _)| *version == generation);
    own.or_else(|| sharers.first()).copied()
}

/// Adds to lanes the streams of their generation that only another version declares by now.
fn add_missing(lanes: &mut Catalog, sharer: &Catalog, source: &str, generation: &str) {
    for stream in sharer.streams_of(source).filter(|stream| sharer.deployment.generation(&stream.name) == generation) {
        let (Some(read), Some(written)) = (lanes.sources.get(source), sharer.sources.get(&stream.name)) else {
            continue;
        };
        // Whoever has changed how the source is read has changed every stream over it.
        let is_read_alike = read.rules() == sharer.sources[source].rules();
        if is_read_alike && !lanes.streams.contains_key(&stream.name) {
            lanes.sources.entry(stream.name.clone()).or_insert_with(|| written.clone());
            // So its archive is that of its generation.
            if generation != lanes.deployment.first {
                lanes.deployment.changed_streams.insert(stream.name.clone(), generation.to_owned());
            }
            lanes.streams.insert(stream.name.clone(), stream.clone());
        }
    }
}
