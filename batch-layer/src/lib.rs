//! The batch layer: archives every record and recounts the archive exactly.
//!
//! - [`archive`]: Kafka → Delta archive, rows and offsets in one commit (`session` → `buffer` → `commit`);
//! - [`reconcile`]: archive → batch views, rows and cut in one commit (`cut` → `touched` → `plan` → `recompute` → `commit`);
//! - [`schedule`]: reconciles by cron;
//! - [`init`]: creates topics and tables before anything else starts;
//! - [`status`], [`lost`], [`close`]: commands of the operator;
//! - [`command`]: the command line.

pub mod archive;
pub mod close;
pub mod command;
pub mod init;
pub mod lost;
pub mod reconcile;
mod rows;
pub mod schedule;
pub mod status;

pub use rows::RowsError;
