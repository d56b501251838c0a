//! Snapshots: the state of a lane as bytes (T2).

/// A part of a snapshot, written once under its name. Its content follows from the name, the log and the partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// What it is of: letters, digits, `_` and `-`.
    pub name: String,
    /// Its content; `None` in a new snapshot that shares the piece with a kept one.
    pub bytes: Option<Vec<u8>>,
}

/// Why there is no snapshot, or why a lane cannot go on from one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The lane is inside of an offset, some of whose outputs are not decided: step on first.
    #[error("the outputs of offset {offset} are not all decided")]
    InsideOffset {
        /// The offset.
        offset: i64,
    },
    /// State that was built from an incomplete past is never written.
    #[error("the lane's past is incomplete")]
    Incomplete,
    /// A piece that the plan needs is not there.
    #[error("the piece `{name}` is missing")]
    Missing {
        /// Its name.
        name: String,
    },
    /// A piece does not hold what its name says.
    #[error("a piece of stream `{stream}` is damaged")]
    Damaged {
        /// The stream.
        stream: String,
    },
}
