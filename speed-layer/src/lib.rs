//! The speed layer: counts events into Redis within milliseconds, each exactly once.
//!
//! One process is a [`worker`]. For each source, it is assigned some of the topic's partitions, and runs one *counting loop*
//! for each of them ([`count`]). One event takes this way:
//!
//! 1. [`count::open_shard`]: before anything is read, the loop makes the partition's shard ready: opened where the rules say,
//!    with this catalog's definitions, its cursor at an offset that the log still holds;
//! 2. [`read`]: one of the source's reading threads reads the partition from the shard's cursor and decodes records; before it hands
//!    on anything that counts, it compares the log with what was read before (R12);
//! 3. [`read::micro_batch`]: it hands them on as micro-batches, consecutive records of one partition as columns;
//! 4. [`count::aggregate`]: the loop's first stage leaves out duplicates ([`count::copies`]), counts a micro-batch for all metrics in
//!    one pass ([`count::compiled`], [`count::parts`]), and asks whether the topic is still the same log ([`log::identity`]);
//! 5. [`count::apply`]: its second stage adds the result to the shard and moves the cursor, in one script that names what it
//!    expects ([`storage::ShardClient`]);
//! 6. [`count::expire`]: once every batch view holds the event, its slice is dropped.
//!
//! When something is not as expected, the loop starts again at step 1, from what the shard says.
//!
//! [`stream`] holds the lanes, which read the same way and write streams to Kafka instead. [`table`] keeps the rows of tables in Redis,
//! and finds those that lanes look up. [`index`] keeps the documents of search indexes.
//!
//! Beside the flow: [`assigned`] keeps a task for each partition that the process is assigned.
//! [`count::source`] holds what the counting loops of one source share. [`log::ends`] asks how far the log reaches, so that
//! answers can say as of when they are complete. [`batch_side`] reads the archive's facts and the views' cuts. [`error`] says
//! why a worker ended. [`command`] is the command line.

pub mod assigned;
pub mod batch_side;
pub mod command;
pub mod count;
pub mod error;
pub mod index;
pub mod log;
pub mod read;
pub mod stream;
pub mod table;
pub mod worker;

pub use worker::run;
