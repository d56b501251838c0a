//! The speed layer: counts events into Redis within milliseconds, each exactly once.
//!
//! The flow of one micro-batch is the list of files:
//!
//! 1. [`read`] reads records of the assigned partitions from the offsets that their shards name, decodes them and
//!    removes duplicates, in one thread;
//! 2. [`count::micro_batch`] is what it hands on: consecutive records of one partition as columns;
//! 3. [`count::compiled`] runs every metric's plan on them;
//! 4. [`count::apply`] adds the partials to the shard and moves its cursor, in one script that names what it expects;
//! 5. [`count::expire`] removes slices that every batch view holds.
//!
//! Around it: [`worker`] owns a source, its group membership and one counting loop ([`count`]) per assigned partition; it makes ready ([`count::open_shard`])
//! its shard, then pumps micro-batches through aggregate and apply until something is not as expected, and starts again
//! from what the shard says. [`log::identity`] asks the topic's id after records were read. [`batch_side`] is what the layer
//! knows of the batch side. [`command`] is the command line.

pub mod batch_side;
pub mod command;
pub mod count;
pub mod log;
pub mod read;
pub mod worker;

pub use worker::run;
