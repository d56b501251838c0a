//! Streams: what Braid writes to Kafka, as pure functions of a log.
//!
//! A [`Lane`] holds the state of all streams that read one partition. It is given [`Records`], and decides outputs in bounded steps
//! (T10). What it decides follows from the partition's records in the order of their offsets and from the definitions alone (T1):
//! not from a clock, nor from where records were split, nor from where a process began to read, as far as T8 goes.
//!
//! - `front`: how far the events of a partition have come, and marks across a re-key;
//! - `position`: where outputs stand;
//! - `records`: what a lane is given;
//! - `plan`: the streams over one source, compiled; in `rows`, what looks at one event alone;
//! - `lookup`: what maps take from tables: the keys of some events, and what was found under them;
//! - `map`, `window`, `session`, `detect`: the operators, each with its state; `operator` is any of them;
//! - `lane`: one offset after the other;
//! - `output`: what is decided; in `json`, how it is written;
//! - `snapshot`: pieces of state; in `bytes`, how they are written (T2).
//!
//! Operators share `aggregates` (measures, row by row), `cells` (their values), `keyed` (state by key), `slab` (items in places),
//! `least_first` (items by their keys), `encoding` and `column` (values as bytes, and in columns) and `budget`.

mod aggregates;
mod budget;
mod bytes;
mod cells;
mod column;
mod detect;
pub(crate) mod encoding;
mod front;
mod horizon;
mod json;
mod keyed;
mod lane;
mod least_first;
mod lookup;
mod map;
mod operator;
mod output;
mod plan;
mod position;
mod records;
mod rows;
mod session;
mod slab;
mod snapshot;
mod window;

pub use front::{Fronts, Mark, Upstream};
pub use horizon::Horizon;
pub use lane::{Lane, LaneError, Limits, Progress, Tally};
pub use lookup::{Found, Keys, LookedUp, LookupPlan, NotSeen, Seen, row_scalar};
pub use output::{Decided, DecidedKind};
pub use plan::{LanePlan, StreamPlan};
pub use position::OutputPosition;
pub use records::{MarkRecord, Originals, Records};
pub use snapshot::{Piece, SnapshotError};
