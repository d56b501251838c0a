//! What lanes write: records of streams in Kafka, their progress beside them, and snapshots of their state.
//!
//! - `headers`: what every record of a stream says of itself, and what marks say;
//! - `progress`: the progress topic, whose newest record of a stream says how far it was published (T3);
//! - `snapshot`: the manifest of a snapshot (T2);
//! - `check`: how far streams were checked;
//! - `stopped`: why a lane does not go on.

mod check;
mod headers;
mod progress;
mod snapshot;
mod stopped;

pub use check::{CHECKED, CheckedLane, CheckedStreams, checked_path};
pub use headers::{
    HeaderNames, late_headers, mark_headers, mark_of, no_row_headers, output_headers, stream_of, upstream_of,
};
pub use progress::{Begins, Changed, Checked, ProgressKey, ProgressNoted, Published, progress_topic, transactional_id};
pub use snapshot::{
    Definitions, Manifest, PieceNote, definitions_key, lanes_folder, manifest_path, piece_path, spared_path,
};
pub use stopped::{
    LanesNoted, PUBLISHED, STOPPED, Stopped, published_partition, published_path, stopped_partition, stopped_path,
};
