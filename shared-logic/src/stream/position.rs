//! Where outputs stand.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The place of an output of one stream among all that it writes for one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OutputPosition {
    /// The offset of the record that caused it.
    pub offset: i64,
    /// How many outputs of the same stream the same record caused before it; late events count as outputs.
    pub n: u32,
}

impl OutputPosition {
    /// Before everything that the record at that offset causes.
    pub fn before(offset: i64) -> OutputPosition {
        OutputPosition { offset, n: 0 }
    }

    /// Behind everything that the record at that offset can cause.
    pub fn behind(offset: i64) -> OutputPosition {
        OutputPosition { offset, n: u32::MAX }
    }

    /// The position behind this one.
    pub fn next(self) -> OutputPosition {
        OutputPosition { n: self.n + 1, ..self }
    }
}

/// `<offset>/<n>`.
impl fmt::Display for OutputPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.offset, self.n)
    }
}
