//! What stands in a search server for the indexes of a deployment.
//!
//! | name | what it is |
//! |---|---|
//! | `braid.<deployment>.<index>` | the alias of the build that the active version serves, for whoever searches without Braid |
//! | `braid.<deployment>.<index>.<number>` | a *build* of an index: one document per id, `_id` is the id |
//! | `<build or progress index>.writes` | a hidden alias of that index. Everything is written by it, as a write to a name that is no alias can be refused, where one to an index that is gone would create another |
//! | `braid-progress.<deployment>` | the progress index, with the documents below, each `_id` with the fields `kind`, `index`, `build`, `record`, and `id` where it was refused |
//!
//! | document of the progress index | `_id` | `record` | written |
//! |---|---|---|---|
//! | the state of an index | `state/<index>` | [`IndexState`] | only on top of what was read (`if_seq_no`, `if_primary_term`; the first by `op_type=create`) |
//! | the progress of a lane | `progress/<index>/<number>/<log>/<partition>` | [`Progress`] | after its bulk was acknowledged, with `version_type=external`, the cursor as its version |
//! | a refused document | `refused/<index>/<number>/<id>` | [`Refused`] | before the progress, `version_type=external`, with the version of the change |
//!
//! Names in a catalog hold no dot and no slash, so none of these names is that of another.
//!
//! - `state`: the builds of an index, and the steps from state to state as pure functions (I4);
//! - `progress`: how far a lane has written (I2);
//! - `refused`: what the server refused for good (I3);
//! - `check`: what the check of an index found (I5).

mod check;
mod progress;
mod refused;
mod state;

pub use check::{IndexCheck, IndexDifference, IndexDifferenceKind, NAMED_MAX, NotChecked};
pub use progress::Progress;
pub use refused::{REFUSED_MAX, Refused};
pub use state::{Build, BuildStage, IndexState, IndexStepError, Needed, Why, needed};

use crate::catalog::Deployment;
use crate::log::PartitionId;

/// The version of a row that a build begins with: less than that of any change.
pub const BASE_VERSION: u64 = 0;

/// I1: the version of what the change at that offset leaves of its id.
pub fn change_version(offset: i64) -> u64 {
    u64::try_from(offset).unwrap_or_default() + 1
}

/// The alias of an index.
pub fn alias(deployment: &Deployment, index: &str) -> String {
    format!("braid.{}.{index}", deployment.name)
}

/// The name of a build in the server.
pub fn build_name(deployment: &Deployment, index: &str, number: u64) -> String {
    format!("{}.{number}", alias(deployment, index))
}

/// The progress index.
pub fn progress_index(deployment: &Deployment) -> String {
    format!("braid-progress.{}", deployment.name)
}

/// The alias by which documents are written to a build or to the progress index.
pub fn writes(name: &str) -> String {
    format!("{name}.writes")
}

/// The id of the document with the state of an index.
pub fn state_id(index: &str) -> String {
    format!("state/{index}")
}

/// The id of the document with the progress of a lane.
pub fn progress_id(index: &str, number: u64, id: &PartitionId) -> String {
    format!("progress/{index}/{number}/{}/{}", id.log, id.partition)
}

/// The id of a document that was refused.
pub fn refused_id(index: &str, number: u64, id: &str) -> String {
    // A server takes ids of at most 512 bytes.
    const ID_MAX: usize = 300;
    if id.len() <= ID_MAX {
        return format!("refused/{index}/{number}/{id}");
    }
    format!("refused/{index}/{number}/{:032x}", xxhash_rust::xxh3::xxh3_128(id.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_a_server_takes() {
        let deployment = Deployment::new("braid", "v1");
        assert_eq!(alias(&deployment, "users"), "braid.braid.users");
        assert_eq!(build_name(&deployment, "users", 7), "braid.braid.users.7");
        assert_eq!(progress_index(&deployment), "braid-progress.braid");
        assert_eq!(writes("braid.braid.users.7"), "braid.braid.users.7.writes");
        assert_eq!(progress_id("users", 7, &PartitionId::new("log.1", 3)), "progress/users/7/log.1/3");
        assert!(refused_id("users", 7, &"x".repeat(512)).len() < 512);
    }

    #[test]
    fn every_change_has_a_greater_version_than_a_row_of_the_begin() {
        assert!(change_version(0) > BASE_VERSION && change_version(8) > change_version(7));
    }
}
