//! Versions of the deployment: what is counted of the archive before the speed layer goes on, whether a version counts right, and what is
//! removed of one that is retired (K4 to K9).
//!
//! - `count`: the archive, or the logs of it that have ended, counted before any shard of the version is opened (K5);
//! - `verify`: what a replay has counted, compared with what the archive gives (K6): `side` finds out which offsets a version has counted
//!   how, `replayed` reads that, `recount` counts the same offsets again under the same rule for copies, and `compare` tells where they
//!   differ, of every key and bucket; `spill` keeps the rows of both sides on local disk meanwhile; `places` says which records lie where
//!   they differ, and `report` says all of it;
//! - `candidate`: what is known of a version that is to become the active one (K7);
//! - `retire`: consumer groups, shards and rows of a version are removed (K9).

mod candidate;
mod compare;
mod count;
mod error;
mod places;
mod recount;
mod replayed;
mod report;
mod retire;
mod side;
mod spill;
mod verify;

pub use self::candidate::{CandidateError, candidate};
pub use self::count::{CountedFirst, count};
pub use self::error::VerifyError;
pub use self::report::{Change, Difference, MetricReport, OldVersion, Place, StreamReport, Verdict, VerifyReport};
pub use self::retire::{RetireError, Retired, retire};
pub use self::verify::{keep, verify};
