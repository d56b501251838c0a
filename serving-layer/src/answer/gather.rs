//! Reads what both views know about group keys, as of one snapshot.

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use shared_logic::catalog::Metric;
use shared_logic::complete::{self, Gap, HeldRange};
use shared_logic::contracts::speed_view::ChunkRange;
use shared_logic::measure::MeasureKind;
use shared_logic::merge::{self, Merged, SpeedCell};
use shared_logic::time::TimeRange;

use super::reading::as_of_snapshots;
use super::selection::{AskedKey, range};
use crate::batch_view::{Cells, Fold, SegmentError};
use crate::problem::Problem;
use crate::snapshot::{Ground, Snapshot};
use crate::speed_view::{CountedKey, Judged, Looked, Question};
use crate::versions::Version;
use crate::written::{Shape, Written};

/// What an answer is about. The rest of it follows from the metric, the snapshot and the look.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) keys: &'a [AskedKey],
    /// The bounds of the range; `None` where an end is open.
    pub(super) bounds: (Option<i64>, Option<i64>),
    pub(super) shape: Shape,
}

/// What is known about the group keys that were asked for.
pub(super) struct Gathered {
    /// What the snapshot says of the metric.
    pub(super) ground: Arc<Ground>,
    /// What is asked for that the view does not hold any more.
    retired: Option<Gap>,
    looked: Arc<Looked>,
    grain_us: i64,
}

impl Gathered {
    /// Where the answer about that range begins; `None`: with the first event. What the range asks for and the view does not hold any
    /// more becomes a gap. `at_or_after` gives the first begin of a step, or of a bucket, from an instant on.
    pub(super) fn hold(
        &mut self,
        bounds: (Option<i64>, Option<i64>),
        at_or_after: impl FnOnce(i64) -> i64,
    ) -> Option<i64> {
        let note = self.ground.view.as_ref().map(|view| view.note.as_ref());
        let HeldRange { from_us, gap } = complete::held(note, bounds, at_or_after);
        self.retired = gap;
        from_us
    }

    /// What is missing (R9).
    pub(super) fn gaps(&self) -> impl Iterator<Item = &Gap> {
        self.judged().verdict.gaps.iter().chain(&self.retired)
    }

    /// Nothing that arrived before this moment is missing, if there are no gaps; microseconds since 1970.
    pub(super) fn as_of_us(&self) -> Option<i64> {
        self.judged().as_of_us
    }

    /// A moment after the request came, at which the look had read everything; microseconds since 1970.
    pub(super) fn at_us(&self) -> i64 {
        self.looked.at_us
    }

    /// The answer, if a request that asked the same of the same look has written it.
    pub(super) fn written(&self) -> Option<Arc<Written>> {
        self.looked.written()
    }

    /// Keeps the answer for all that ask the same of the same look.
    pub(super) fn write(&self, answer: Written) -> Arc<Written> {
        self.looked.write(answer)
    }

    fn judged(&self) -> &Judged {
        self.looked.judged()
    }

    /// The cells of the key of that number in every slice that counts, at least those of buckets in the range that was asked for.
    pub(super) fn speed(&self, key: usize) -> impl Iterator<Item = SpeedCell> {
        self.looked.cells(key, self.grain_us)
    }

    /// What the batch view says of each key in a range of whole buckets, in the order of the keys. Of a key with more cells than `most`, one
    /// more than that is read.
    ///
    /// # Errors
    /// If a segment cannot be read.
    pub(super) async fn batch(
        &self,
        metric: &Metric,
        keys: &[AskedKey],
        range: TimeRange,
        fold: Fold,
        most: usize,
    ) -> Result<Vec<Cells>, SegmentError> {
        match &self.ground.view {
            Some(view) => try_join_all(keys.iter().map(|asked| view.cells_up_to(&asked.key, range, fold, most))).await,
            None => Ok(keys.iter().map(|_| Cells::new(metric, fold)).collect()),
        }
    }

    /// Each key's values of both views over a range of whole buckets, in the order of the keys, given what the batch view says.
    pub(super) fn totals(&self, kinds: &[MeasureKind], batch: &[Cells], range: TimeRange) -> Vec<Merged> {
        let of_key = |(key, cells): (usize, &Cells)| merge::total(kinds, cells.iter(), self.speed(key), range);
        batch.iter().enumerate().map(of_key).collect()
    }
}

/// Gathers what is known of what an answer is about.
///
/// # Errors
/// If there is no snapshot after `first_within`, or a view cannot be read.
pub(super) async fn gather(
    version: &Version,
    metric: &Metric,
    about: About<'_>,
    first_within: Duration,
) -> Result<Gathered, Problem> {
    let read = move |snapshot: Arc<Snapshot>| async move { read_views(version, &snapshot, metric, about).await };
    as_of_snapshots(version, metric, first_within, Gathered::judged, read).await
}

/// Reads the shards that a snapshot needs. The look judges what their positions say.
async fn read_views(
    version: &Version,
    snapshot: &Snapshot,
    metric: &Metric,
    About { keys, bounds, shape }: About<'_>,
) -> Result<Gathered, Problem> {
    let asked = version.asked(metric);
    let ground = snapshot.ground(asked);
    let counted = |AskedKey { key, .. }: &AskedKey| {
        Arc::new(CountedKey { definition: asked.definition.clone(), key: key.clone() })
    };
    let question = Question {
        standing: Arc::clone(&ground.standing),
        keys: keys.iter().map(counted).collect(),
        kinds: Arc::clone(asked.kinds),
        bounds,
        chunks: ChunkRange::of(range(bounds), metric.grain_us, asked.kinds),
        shape,
    };
    let looked = version.speed.ask(&metric.source, question).await?;
    Ok(Gathered { ground, retired: None, looked, grain_us: metric.grain_us })
}
