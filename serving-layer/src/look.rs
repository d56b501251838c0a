//! One look (R10): all that is known of views, archive and topics at one moment, immutable. A request uses one look from
//! start to end, so view and cut belong together.
//!
//! The archive is read *after* the views: a look never knows an older archive than the one that a view of it was computed
//! from. Where the store does not answer, what was known stays. That is safe, as a view's cut never falls: an old view asks
//! for slices that are still there, or the answer says that they are not.
//!
//! - `refresh`: takes looks, regularly and on demand.

mod refresh;

use std::collections::BTreeMap;
use std::sync::Arc;

use shared_logic::catalog::{Catalog, DefinitionHash, Metric};
use shared_logic::complete;
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::batch_view::Note;
use shared_logic::contracts::speed_view::Shard;
use shared_logic::log::PartitionId;

use crate::batch_view::View;
use crate::topics::TopicKnown;

pub(crate) use refresh::Looks;

/// The shards that were read for an answer, by partition; `None` where there is none.
pub(crate) type Shards = BTreeMap<PartitionId, Option<Shard>>;

/// What was known when it was taken.
#[derive(Clone, Default)]
pub(crate) struct Look {
    /// Looks are numbered in the order in which they were begun.
    sequence: u64,
    views: BTreeMap<String, Known<Option<Arc<View>>>>,
    archives: BTreeMap<String, Known<Option<Archive>>>,
    topics: BTreeMap<String, Arc<TopicKnown>>,
}

/// Something that is read from the store again and again.
#[derive(Clone)]
pub(crate) struct Known<T> {
    /// What it was when it was last read; `None` if it was never read.
    pub(crate) value: Option<T>,
    /// Why it could not be read the last time.
    pub(crate) error: Option<String>,
}

/// The facts of an archive, as of one version.
#[derive(Clone)]
pub(crate) struct Archive {
    /// The version of its table.
    pub(crate) version: u64,
    /// What that commit knows of the source's logs.
    pub(crate) facts: Arc<Facts>,
}

impl Look {
    /// The newest view of a metric, whatever it counts.
    pub(crate) fn view(&self, metric: &str) -> Option<&Arc<View>> {
        self.views.get(metric)?.value.as_ref()?.as_ref()
    }

    /// The view of a metric if it counts that definition.
    pub(crate) fn own_view(&self, metric: &str, definition: &DefinitionHash) -> Option<&Arc<View>> {
        self.view(metric).filter(|view| view.note.definition == *definition)
    }

    /// The archive of a source.
    pub(crate) fn archive(&self, source: &str) -> Option<&Archive> {
        self.archives.get(source)?.value.as_ref()?.as_ref()
    }

    /// What is known of a source's topic.
    pub(crate) fn topic(&self, source: &str) -> Option<&TopicKnown> {
        self.topics.get(source).map(Arc::as_ref)
    }

    /// The same for the rules of completeness; the shards are read afterwards.
    pub(crate) fn of_metric<'a>(
        &'a self,
        metric: &Metric,
        definition: &'a DefinitionHash,
        shards: &'a Shards,
    ) -> complete::Look<'a> {
        let archive = self.archive(&metric.source);
        let note: Option<&Note> = self.view(&metric.name).map(|view| &view.note);
        complete::Look {
            definition,
            view: note,
            archive: archive.map(|archive| archive.facts.as_ref()),
            archive_version: archive.map_or(0, |archive| archive.version),
            topic: self.topic(&metric.source).and_then(|topic| topic.look.as_ref()),
            shards,
        }
    }

    /// Why answers about a metric are impossible: its view or its source's archive was never read.
    pub(crate) fn unreadable(&self, metric: &Metric) -> Option<&str> {
        let view = self.views.get(&metric.name).filter(|view| view.value.is_none()).map(|view| &view.error);
        let archive =
            self.archives.get(&metric.source).filter(|archive| archive.value.is_none()).map(|archive| &archive.error);
        view.or(archive).map(|error| error.as_deref().unwrap_or("not read yet"))
    }

    /// What of the store could not be read the last time, and why.
    pub(crate) fn store_errors(&self) -> impl Iterator<Item = &str> {
        let views = self.views.values().filter_map(|view| view.error.as_deref());
        views.chain(self.archives.values().filter_map(|archive| archive.error.as_deref()))
    }

    /// Whether every view and archive of the catalog was read at least once.
    pub(crate) fn is_whole(&self, catalog: &Catalog) -> bool {
        catalog.metrics.values().all(|metric| self.unreadable(metric).is_none())
    }
}

impl<T: Clone> Known<T> {
    /// What is known after another try; an error leaves the value.
    fn after(before: Option<&Known<T>>, read: Result<T, String>) -> Known<T> {
        match read {
            Ok(value) => Known { value: Some(value), error: None },
            Err(error) => Known { value: before.and_then(|known| known.value.clone()), error: Some(error) },
        }
    }
}
