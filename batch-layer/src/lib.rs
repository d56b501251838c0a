//! The batch layer: archives every record and recounts the archive exactly.
//!
//! - [`archive`]: Kafka → Delta archive, rows and offsets in one commit (`session` → `buffer` → `commit`);
//! - [`reconcile`]: archive → batch views, rows and cut in one commit (`cut` → `touched` → `plan` → `recompute` → `commit`);
//! - [`schedule`]: reconciles by cron;
//! - [`init`]: creates topics and tables before anything else starts;
//! - [`command`]: the command line.

pub mod archive;
pub mod command;
pub mod init;
pub mod reconcile;
mod rows;
pub mod schedule;

pub use rows::RowsError;
