//! How far a lane of a build has written (I2).

use serde::{Deserialize, Serialize};

use crate::log::Witness;

/// The progress of one lane: a partition of a build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The first offset whose change may not be in the build.
    pub cursor: i64,
    /// R12: the last record before the cursor, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<Witness>,
    /// When it was written, microseconds since 1970 by the clock of the worker. Nothing follows from it.
    pub at_us: i64,
}
