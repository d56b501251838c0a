//! What a stream would have written: the Delta table `<name>/backtest/<stream>`, which each backtest replaces whole.

/// The partition column: the log that the stream has read.
pub const LOG: &str = "log";
/// The partition that it has read.
pub const PARTITION: &str = "partition";
/// The offset of the record that completed the output.
pub const OFFSET: &str = "offset";
/// Which of the stream's outputs for that offset it is.
pub const N: &str = "n";
/// The key of the output's record, bytes; null if it has none.
pub const KEY: &str = "key";
/// The output, JSON as bytes.
pub const PAYLOAD: &str = "payload";
/// The output's time, an instant.
pub const TIME: &str = "time";

/// Where the table lies below the deployment's root, `<store.url>/<name>`.
pub fn path(stream: &str) -> String {
    format!("backtest/{stream}")
}
