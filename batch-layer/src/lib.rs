//! The batch layer: archives every record that arrived, and recounts the archive exactly.
//!
//! - [`archive`]: Kafka → Delta archive, rows and offsets in one commit (`consume` → `buffer` → `commit`);
//! - [`reconcile`]: archive → batch views, rows and cut in one commit (`cut` → `touched` → `recompute` → `publish`);
//! - [`schedule`]: reconciles by cron;
//! - [`init`]: topics and tables, before anything else starts;
//! - [`status`], [`lost`], [`close`]: what an operator asks and says;
//! - [`command`]: the command line.

pub mod archive;
pub mod close;
pub mod command;
pub mod init;
pub mod lost;
pub mod reconcile;
pub mod schedule;
pub mod status;
