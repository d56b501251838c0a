//! The batch layer: archives every record and recounts the archive exactly.
//!
//! - [`archive`]: Kafka → Delta archive, rows and offsets in one commit (`session` → `buffer` → `commit`);
//! - `archive_rows`: the archive's rows, each record decoded under the rules of the catalog;
//! - [`reconcile`]: archive → batch views, rows and cut in one commit (`cut` → `identities` → `plan` → `day` → `commit`);
//! - [`schedule`]: jobs by cron, each by its own (`job` → `agenda`);
//! - [`stream`]: archived records → what streams decide of them: to check what was written, and to try a definition out;
//! - [`table`](mod@table): archived changes → the rows that they leave (`gathered` → `settled` → `materialise`);
//! - [`index`](mod@index): rows of tables → builds of search indexes, and whether they are equal (`load` → `check`);
//! - [`report`]: rows of views and tables → tables that others query, a day at a time;
//! - [`maintenance`]: retires old days, merges files, and deletes what no reader needs (`retention`, `compaction`, `vacuum`);
//! - [`erase`]: takes the events of a person out of archive, views and answers;
//! - [`version`]: what is counted first for a new version of the deployment, whether it counts right, and what is removed of an old one;
//! - [`audit`]: compares a view with the archived records of one key;
//! - [`rejected`]: the invalid records of an archive;
//! - [`give_up`]: what an operator gives up of a log that lost its tail;
//! - [`import`]: files → the archive, each as a log of its own;
//! - [`init`]: creates topics and tables before anything else starts; [`topics`]: what is wrong with topics that exist;
//! - `cluster`: a cluster that computes queries over files of tables, if the settings name one;
//! - [`command`]: the command line; `output`: whether it prints for a person or for a program; `progress`: how far long work has come;
//!   `log_ends`: where topics end.

pub mod archive;
mod archive_rows;
pub mod audit;
mod cluster;
pub mod command;
pub mod erase;
pub mod give_up;
pub mod import;
pub mod index;
pub mod init;
mod log_ends;
pub mod maintenance;
mod output;
mod progress;
pub mod reconcile;
pub mod rejected;
pub mod report;
mod rows;
pub mod schedule;
pub mod stream;
pub mod table;
pub mod topics;
pub mod version;

pub use cluster::ClusterError;
pub use progress::Progress;
pub use rows::RowsError;
