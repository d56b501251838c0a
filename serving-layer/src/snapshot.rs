//! A snapshot (R10): what was known of views, archives and topics at one moment. It never changes, and a request uses the same
//! snapshot from start to end, so view and cut belong together.
//!
//! The archives are read *after* the views. So a snapshot never knows an older archive than the one from which one of its views
//! was computed. A view that takes long to read or to load holds nothing up: until it is loaded, snapshots have the one before. While the store
//! cannot be read, the last known values stay. That is safe because a view's cut never falls: an
//! old view needs slices that still exist, or the answer says that they are missing.
//!
//! - `cache`: the newest snapshot, replaced regularly and on demand;
//! - `refresh`: reads the tables for the next snapshot;
//! - `known_gaps`: gaps that a newer snapshot did not close.

mod cache;
mod known_gaps;
mod refresh;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use shared_logic::catalog::{Catalog, Metric};
use shared_logic::complete::{self, Evidence, Standing, TopicState};
use shared_logic::contracts::archive::Facts;
use storage::Archive;

use crate::asked::Asked;
use crate::batch_view::View;
use crate::last_read::LastRead;

pub(crate) use cache::SnapshotCache;

/// Batch views by metric; `None` for a metric without one.
type Views = BTreeMap<String, LastRead<Option<Arc<View>>>>;
/// The facts of archives by source; `None` for a source without an archive.
type Archives = BTreeMap<String, LastRead<Option<ArchiveFacts>>>;
/// The last descriptions of topics, by source.
type TopicsBySource = BTreeMap<String, Arc<LastRead<TopicState>>>;

/// What was known at one moment.
#[derive(Default)]
pub(crate) struct Snapshot {
    /// Numbers snapshots in the order in which they were begun.
    sequence: u64,
    views: Views,
    archives: Archives,
    topics: TopicsBySource,
    /// By metric, what follows from all that; found out by the first request that needs it.
    grounds: BTreeMap<String, OnceLock<Arc<Ground>>>,
}

/// What a snapshot says of one metric. Together with the shards, that is all that an answer needs.
pub(crate) struct Ground {
    /// What an answer needs, and lacks whatever its shards say.
    pub(crate) standing: Arc<Standing>,
    /// The newest view, if it can be used for what is asked.
    pub(crate) view: Option<Arc<View>>,
}

/// An archive at one version.
#[derive(Clone)]
pub(crate) struct ArchiveFacts {
    /// The version of the archive's table.
    pub(crate) version: u64,
    /// What that commit says about the source's logs.
    pub(crate) facts: Arc<Facts>,
    /// The table at that version.
    pub(crate) table: Archive,
}

/// Why no answer about a metric or a stream is possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable<'a> {
    /// What it needs is being loaded for the first time.
    Loading,
    /// The store could not be read, for this reason.
    Failed(&'a str),
}

impl Snapshot {
    fn new(sequence: u64, views: Views, archives: Archives, topics: TopicsBySource) -> Snapshot {
        let grounds = views.keys().map(|metric| (metric.clone(), OnceLock::new())).collect();
        Snapshot { sequence, views, archives, topics, grounds }
    }

    /// The same with other descriptions of topics.
    fn with_topics(&self, topics: TopicsBySource) -> Snapshot {
        Snapshot::new(self.sequence, self.views.clone(), self.archives.clone(), topics)
    }

    /// The newest view of a metric, whatever definition it counts.
    pub(crate) fn view(&self, metric: &str) -> Option<&Arc<View>> {
        self.views.get(metric)?.value.as_ref()?.as_ref()
    }

    /// The newest view of a metric, if it can be used for what is asked.
    pub(crate) fn own_view(&self, asked: Asked<'_>) -> Option<&Arc<View>> {
        let Asked { metric, definition, rules, .. } = asked;
        let facts = self.archive(&metric.source).map(|archive| archive.facts.as_ref());
        let is_own =
            |view: &&Arc<View>| complete::own_view(Some(view.note.as_ref()), definition, rules.hash(), facts).is_some();
        self.view(&metric.name).filter(is_own)
    }

    /// The archive of a source.
    pub(crate) fn archive(&self, source: &str) -> Option<&ArchiveFacts> {
        self.archives.get(source)?.value.as_ref()?.as_ref()
    }

    /// The last description of a source's topic, and why a later one failed.
    pub(crate) fn topic(&self, source: &str) -> Option<&LastRead<TopicState>> {
        self.topics.get(source).map(Arc::as_ref)
    }

    /// All that follows for answers about a metric. All requests that use this snapshot get the same.
    pub(crate) fn ground(&self, asked: Asked<'_>) -> Arc<Ground> {
        let ground = || {
            let standing = Arc::new(Standing::of(&self.evidence(asked)));
            Arc::new(Ground { standing, view: self.own_view(asked).cloned() })
        };
        match self.grounds.get(&asked.metric.name) {
            Some(known) => Arc::clone(known.get_or_init(ground)),
            None => ground(),
        }
    }

    /// What the rules of completeness need to judge an answer about a metric.
    fn evidence<'a>(&'a self, asked: Asked<'a>) -> Evidence<'a> {
        let Asked { metric, definition, rules, log_only, .. } = asked;
        let archive = self.archive(&metric.source);
        Evidence {
            definition,
            rules,
            view: self.view(&metric.name).map(|view| view.note.as_ref()),
            archive: archive.map(|archive| archive.facts.as_ref()),
            archive_version: archive.map_or(0, |archive| archive.version),
            topic: self.topic(&metric.source).and_then(|topic| topic.value.as_ref()),
            log_only,
        }
    }

    /// Why no answer about a metric is possible: its view, or the archive of its source, was never read.
    pub(crate) fn unreadable(&self, metric: &Metric) -> Option<Unreadable<'_>> {
        let view = self.views.get(&metric.name).filter(|view| view.value.is_none());
        view.map(|view| unreadable(view.error.as_deref())).or_else(|| self.archive_unreadable(&metric.source))
    }

    /// Why no archive of a source can be read: it was never read.
    pub(crate) fn archive_unreadable(&self, source: &str) -> Option<Unreadable<'_>> {
        let archive = self.archives.get(source).filter(|archive| archive.value.is_none());
        archive.map(|archive| unreadable(archive.error.as_deref()))
    }

    /// The metrics whose views have not been loaded yet since the process started.
    pub(crate) fn loading(&self) -> impl Iterator<Item = &str> {
        self.views.iter().filter(|(_, view)| !view.is_tried()).map(|(metric, _)| metric.as_str())
    }

    /// Why views and archives could not be read the last time.
    pub(crate) fn store_errors(&self) -> impl Iterator<Item = &str> {
        let views = self.views.values().filter_map(|view| view.error.as_deref());
        views.chain(self.archives.values().filter_map(|archive| archive.error.as_deref()))
    }

    /// Whether every view and archive of the catalog was read at least once.
    pub(crate) fn is_whole(&self, catalog: &Catalog) -> bool {
        catalog.metrics.values().all(|metric| self.unreadable(metric).is_none())
    }

    /// What the segments of the views take on disk.
    pub(crate) fn segment_bytes(&self) -> u64 {
        self.views.values().filter_map(|view| view.value.as_ref()?.as_ref()).map(|view| view.on_disk().bytes).sum()
    }
}

/// What a table is that was never read, for that reason if a read has failed.
fn unreadable(error: Option<&str>) -> Unreadable<'_> {
    error.map_or(Unreadable::Loading, Unreadable::Failed)
}
