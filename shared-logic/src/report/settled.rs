//! Whether what is written of a day counts all that had arrived when the day was settled (P2).

use crate::log::{Offsets, PartitionId};

/// A partition of which a cut does not reach what had arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacking {
    /// Which partition.
    pub id: PartitionId,
    /// The cut has to reach this offset.
    pub wanted: i64,
    /// Where it is; `None` if it does not name the partition.
    pub reached: Option<i64>,
}

/// P2: the first partition of which a cut does not include all that had arrived; `None` if it includes all of it. `arrived` is, per
/// partition, the first offset that had not.
pub fn lacking(arrived: &Offsets, cut: &Offsets) -> Option<Lacking> {
    let mut all = arrived.iter().map(|(id, wanted)| Lacking { id: id.clone(), wanted, reached: cut.get(id) });
    all.find(|of| of.reached.is_none_or(|reached| reached < of.wanted))
}
