//! The speed layer: counts events into Redis within milliseconds, each exactly once.
//!
//! The flow of one micro-batch is the list of files:
//!
//! 1. [`consume`] reads records of the assigned partitions from the offsets that their shards name, decodes them and
//!    removes duplicates, in one thread;
//! 2. [`micro_batch`] is what it hands on: consecutive records of one partition as columns;
//! 3. [`aggregate`] runs every metric's plan on them;
//! 4. [`apply`] adds the partials to the shard and moves its cursor, in one script that names what it expects;
//! 5. [`drop`] removes slices that every batch view holds.
//!
//! Around it: [`worker`] owns a source, its group membership and one [`lane`] per assigned partition; a lane [`position`]s
//! its shard, then pumps micro-batches through aggregate and apply until something is not as expected, and starts again
//! from what the shard says. [`log_check`] asks the topic's id after records were read. [`boundary`] is what the layer
//! knows of the batch side. [`command`] is the command line.

pub mod aggregate;
pub mod apply;
pub mod boundary;
pub mod command;
pub mod consume;
pub mod drop;
pub mod lane;
pub mod log_check;
pub mod log_end;
pub mod micro_batch;
pub mod position;
pub mod worker;

pub use worker::run;
