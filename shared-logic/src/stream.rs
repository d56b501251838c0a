//! Streams: what Braid writes to Kafka, as pure functions of a log.
//!
//! A lane holds the state of all streams that read one partition. It is given records, and decides outputs in bounded steps (T10).
//! What it decides follows from the partition's records in the order of their offsets and from the definitions alone (T1).

mod front;
mod lane;
mod plan;
mod position;
mod records;
mod snapshot;

pub use front::{Fronts, Mark, Upstream};
pub use lane::{Decided, DecidedKind, Lane, LaneError, Limits, Progress};
pub use plan::{LanePlan, StreamPlan};
pub use position::{OutputPosition, output_id};
pub use records::{MarkRecord, Originals, Records};
pub use snapshot::{Piece, SnapshotError};
