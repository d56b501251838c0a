//! How the layers write down what they share. They know nothing else of each other.
//!
//! - `alert`: what is known of alerts, in Kafka (A2, A3);
//! - `archive`: the Delta archive's columns, and the facts that each of its commits carries (R6);
//! - `backtest`: the Delta table of what a stream would have written;
//! - `batch_view`: the Delta batch view's columns, and the note with the cut that each of its commits carries (R1);
//! - `index`: what stands in a search server: builds of indexes, the progress of their lanes, and documents that it refused (I1 to I4);
//! - `reconciliation`: what is kept of each reconcile, the drift between the layers with it, and of each check of a stream;
//! - `report`: the Delta table of a report, and the note that each of its commits carries (P1);
//! - `stream`: what lanes write to Kafka and keep beside the archive (T2, T3);
//! - `table`: the Delta table of what changes have left, and the note with its offsets that each of its commits carries (B2);
//! - `speed_view`: the shard in Redis, as pure functions (R2 to R5, R8), and the scripts that do the same there;
//! - `table_rows`: the rows of a table in Redis (B3), and what a lookup makes of them (B4).
//!
//! `arguments` is how scripts are given many fields.

pub mod alert;
pub mod archive;
mod arguments;
pub mod backtest;
pub mod batch_view;
pub mod index;
pub mod reconciliation;
pub mod report;
pub mod speed_view;
pub mod stream;
pub mod table;
pub mod table_rows;
