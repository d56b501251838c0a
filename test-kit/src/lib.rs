//! What the tests of several crates share.
//!
//! - [`catalogs`]: catalog texts that more than one test reads;
//! - [`Dice`]: randomness that a seed repeats;
//! - [`repetitions()`]: how often a test repeats what it does, in `make test` and in `make test-long`;
//! - [`Redis`]: a `redis-server` of the test's own;
//! - [`RedisCluster`] and [`WatchedRedis`]: several, as a Redis Cluster, and with sentinels;
//! - [`Search`]: an OpenSearch of the test's own;
//! - [`ChildServer`]: what both are, and how tests kill, freeze and stop them;
//! - [`fetched`]: where what Cargo does not build lies;
//! - [`S3Server`]: an S3 server of the test's own, whose requests may meet with a [`Fault`];
//! - [`Receiver`]: a receiver of webhooks, which may refuse what is posted;
//! - [`Process`], [`wait_for`] and [`free_port`]: how it is started and waited for, and all that `e2e-tests` starts.
//!
//! Whatever can fail returns an error that says what was seen instead.
//!
//! This crate depends on no other crate of the project. Unit tests inside `shared-logic` and `platform` use it: if it depended
//! on these crates, their tests would be linked with two copies of them, whose types differ. Therefore a catalog is a text
//! here, which each test parses itself.

pub mod catalogs;
pub mod child_server;
pub mod dice;
pub mod fetched;
pub mod ports;
pub mod process;
pub mod receiver;
pub mod redis;
pub mod redis_cluster;
pub mod redis_watched;
pub mod repetitions;
pub mod s3;
pub mod search;
pub mod wait;

pub use self::redis::{Durability, Redis};
pub use self::redis_cluster::{MovingSlot, RedisCluster};
pub use self::redis_watched::WatchedRedis;
pub use child_server::ChildServer;
pub use dice::{Dice, first_seed};
pub use ports::free_port;
pub use process::Process;
pub use receiver::{Post, Receiver};
pub use repetitions::repetitions;
pub use s3::{Fault, S3Server};
pub use search::Search;
pub use wait::{DEADLINE, Progress, wait_for};
