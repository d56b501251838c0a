//! Reads what both views know about all keys of a pattern, as of one snapshot, and merges it key by key.
//!
//! The speed view's keys lie in memory, as `serving.sweep_max` bounds them. The batch view's may be any number, so they are read one after
//! the other, in the order of their texts, and merged with the others on the way.

use std::collections::btree_map;
use std::iter::Peekable;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use platform::task;
use shared_logic::catalog::Metric;
use shared_logic::complete::{self, Gap, HeldRange};
use shared_logic::group_key::{ColumnPattern, KeyPart, KeyPattern};
use shared_logic::measure::{MeasureKind, Value};
use shared_logic::merge::Layer;

use super::next_bucket;
use super::reading::as_of_snapshots;
use super::selection::{AskedKey, range};
use crate::batch_view::{Keys, SegmentError};
use crate::problem::Problem;
use crate::snapshot::{Ground, Snapshot};
use crate::speed_view::{ByKey, Judged, KeysQuestion, SweptKeys};
use crate::versions::Version;

/// Which keys a request is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct AskedKeys {
    /// What it says of each column.
    pub(crate) columns: Vec<ColumnPattern>,
    /// Only keys whose texts lie behind this one.
    pub(crate) after: Option<String>,
    /// The bounds of the range, widened to the grain; `None` where an end is open.
    pub(crate) bounds: (Option<i64>, Option<i64>),
}

/// What is known about all these keys.
pub(super) struct GatheredKeys {
    /// What the snapshot says of the metric.
    pub(super) ground: Arc<Ground>,
    /// The bounds of the range that is answered.
    pub(super) bounds: (Option<i64>, Option<i64>),
    retired: Option<Gap>,
    swept: SweptKeys,
    has_speed: bool,
    pattern: Arc<KeyPattern>,
    after: Option<Arc<str>>,
    kinds: Arc<[MeasureKind]>,
}

/// All keys in the order of their texts, with the values of both views.
pub(super) struct MergedKeys {
    batch: Keys,
    /// The batch view's next key.
    next: Option<(String, Vec<Value>)>,
    speed: Peekable<btree_map::IntoIter<String, Vec<Value>>>,
    after: Option<Arc<str>>,
    kinds: Arc<[MeasureKind]>,
    /// Whether nobody waits any more.
    is_over: Arc<AtomicBool>,
}

/// One key with its merged values.
pub(super) struct MergedKey {
    pub(super) key: String,
    pub(super) values: Vec<Value>,
    pub(super) layer: Layer,
}

/// Ends the work on another thread when the request ends.
struct Waits(Arc<AtomicBool>);

impl AskedKeys {
    /// What the answer repeats of the request: the columns that it gives.
    pub(super) fn given(&self) -> AskedKey {
        let part = |column: &ColumnPattern| match column {
            ColumnPattern::Is(part) => part.clone(),
            ColumnPattern::Any | ColumnPattern::Begins(_) => KeyPart::All,
        };
        AskedKey::new(self.columns.iter().map(part).collect())
    }
}

impl GatheredKeys {
    /// What is missing (R9).
    pub(super) fn gaps(&self) -> impl Iterator<Item = &Gap> {
        self.judged().verdict.gaps.iter().chain(&self.retired)
    }

    /// Nothing that arrived before this moment is missing, if there are no gaps; microseconds since 1970.
    pub(super) fn as_of_us(&self) -> Option<i64> {
        self.judged().as_of_us
    }

    /// A moment after the request came, at which all shards had been read; microseconds since 1970.
    pub(super) fn at_us(&self) -> i64 {
        self.swept.at_us
    }

    /// Whether the speed view has any of the keys.
    pub(super) fn has_speed(&self) -> bool {
        self.has_speed
    }

    fn judged(&self) -> &Judged {
        &self.swept.judged
    }

    /// Does work with all keys on a thread that may block. They are handed over once.
    ///
    /// # Errors
    /// What the work returns, and if the batch view cannot be read.
    pub(super) async fn work<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(MergedKeys) -> Result<T, SegmentError> + Send + 'static,
    ) -> Result<T, SegmentError> {
        let speed = std::mem::take(&mut self.swept.keys);
        let waits = Waits(Arc::default());
        let (view, range, pattern) = (self.ground.view.clone(), range(self.bounds), Arc::clone(&self.pattern));
        let (after, kinds, is_over) = (self.after.clone(), Arc::clone(&self.kinds), Arc::clone(&waits.0));
        let _turn = match &self.ground.view {
            Some(view) => view.sweeping().await,
            None => None,
        };
        task::blocking(move || {
            let batch = match view {
                Some(view) => view.keys(range, after.as_deref().unwrap_or_default(), &pattern)?,
                None => Keys::none(),
            };
            work(MergedKeys::new(batch, speed, (after, kinds), is_over)?)
        })
        .await
    }
}

impl MergedKeys {
    fn new(
        batch: Keys,
        speed: ByKey,
        (after, kinds): (Option<Arc<str>>, Arc<[MeasureKind]>),
        is_over: Arc<AtomicBool>,
    ) -> Result<MergedKeys, SegmentError> {
        let speed = speed.into_iter().peekable();
        let mut keys = MergedKeys { batch, next: None, speed, after, kinds, is_over };
        keys.step()?;
        Ok(keys)
    }

    /// The next key; `None` behind the last, and if nobody waits any more.
    ///
    /// # Errors
    /// If the batch view cannot be read.
    pub(super) fn next(&mut self) -> Result<Option<MergedKey>, SegmentError> {
        if self.is_over.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let (key, batch) = match self.next.take() {
            Some((key, values)) if self.speed.peek().is_none_or(|(speed, _)| key <= *speed) => (key, values),
            // The speed view's next key comes first, or there is no other.
            next => {
                self.next = next;
                let speed = self.speed.next();
                return Ok(speed.map(|(key, values)| MergedKey { key, values, layer: Layer::Speed }));
            }
        };
        self.step()?;
        let Some((_, speed)) = self.speed.next_if(|(speed, _)| *speed == key) else {
            return Ok(Some(MergedKey { key, values: batch, layer: Layer::Batch }));
        };
        let values = self.kinds.iter().zip(batch).zip(speed);
        let values = values.map(|((kind, batch), speed)| kind.merge(batch, speed)).collect();
        Ok(Some(MergedKey { key, values, layer: Layer::Both }))
    }

    /// Goes to the batch view's next key behind `after`.
    fn step(&mut self) -> Result<(), SegmentError> {
        loop {
            self.next = self.batch.next()?;
            let is_wanted =
                |(key, _): &(String, Vec<Value>)| self.after.as_deref().is_none_or(|after| key.as_str() > after);
            if self.next.as_ref().is_none_or(is_wanted) {
                return Ok(());
            }
        }
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Gathers what is known of all keys that a request is about; see [`gather`](super::gather::gather).
///
/// # Errors
/// If there is no snapshot after `first_within`, a view cannot be read, or the speed view holds too many counters.
pub(super) async fn gather_keys(
    version: &Version,
    metric: &Metric,
    asked: &AskedKeys,
    first_within: Duration,
) -> Result<GatheredKeys, Problem> {
    let read = move |snapshot: Arc<Snapshot>| async move { read_keys(version, &snapshot, metric, asked).await };
    as_of_snapshots(version, metric, first_within, GatheredKeys::judged, read).await
}

/// Reads the shards that a snapshot needs.
async fn read_keys(
    version: &Version,
    snapshot: &Snapshot,
    metric: &Metric,
    AskedKeys { columns, after, bounds }: &AskedKeys,
) -> Result<GatheredKeys, Problem> {
    let asked = version.asked(metric);
    let ground = snapshot.ground(asked);
    let note = ground.view.as_ref().map(|view| view.note.as_ref());
    let HeldRange { from_us, gap } = complete::held(note, *bounds, |at_us| next_bucket(at_us, metric));
    let bounds = (from_us, bounds.1);
    let question = KeysQuestion {
        standing: Arc::clone(&ground.standing),
        definition: asked.definition.clone(),
        kinds: Arc::clone(asked.kinds),
        grain_us: metric.grain_us,
        pattern: Arc::new(KeyPattern::new(columns)),
        after: after.as_deref().map(Arc::from),
        range: range(bounds),
    };
    let (pattern, after) = (Arc::clone(&question.pattern), question.after.clone());
    let swept = version.speed.sweep(&metric.source, question).await?;
    let (has_speed, kinds) = (!swept.keys.is_empty(), Arc::clone(asked.kinds));
    Ok(GatheredKeys { ground, bounds, retired: gap, swept, has_speed, pattern, after, kinds })
}
