//! Faults: while one lasts, answers are exact or say what they lack; afterwards they are exact.
//!
//! - processes: `kill9`, `archivers`, `index_killed`, `maintenance_killed`, `drift_killed`, `killed_while_sending`, `restart`, `stop`, `zombie`,
//!   `rebalance`, `archive_lags`, `clocks`, `on_a_cluster`;
//! - Kafka: `broker_restarts`, `lost_tail`, `topic_…`, `compacted_topic`, `records_deleted`, `transactions`;
//! - S3: `s3` is out, or replaces what must not be replaced;
//! - Redis: `redis_lost` forgets, `redis_refuses` takes no writes, `redis_slow` answers too late, `shard_by_hand`: an operator
//!   deletes or overwrites a shard's keys; `redis_cluster` and `redis_sentinels`: a replica takes the place of a primary, and slots move;
//! - batch views: `rolled_back`, by an operator.

mod archive_lags;
mod archivers;
mod broker_restarts;
mod clocks;
mod compacted_topic;
mod drift_killed;
mod index_killed;
mod kill9;
mod killed_while_sending;
mod lost_tail;
mod maintenance_killed;
mod on_a_cluster;
mod rebalance;
mod records_deleted;
mod redis_cluster;
mod redis_lost;
mod redis_refuses;
mod redis_sentinels;
mod redis_slow;
mod restart;
mod rolled_back;
mod s3;
mod shard_by_hand;
mod stop;
mod topic_created_again;
mod topic_deleted;
mod topic_partitions;
mod topic_swapped;
mod transactions;
mod zombie;
