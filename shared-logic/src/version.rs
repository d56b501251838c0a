//! Versions of a deployment: which there are, which of them answers, and what each process does for them (K1 to K3, K7 to K9).
//!
//! All that is decided about versions is one value, the [`Pointer`]. It lies in the store under a number, and each step puts the next one,
//! if no other process has done so before. So all steps have one order, and a process that ends between two of them leaves the value before
//! or the value after.
//!
//! - `pointer`: what it says, and how it is written down;
//! - `step`: what may happen to it;
//! - `promotion`: what stands against making another version the active one (K7);
//! - `sharing`: what a new version shares with those that there are, and what it must not change (K3, K8);
//! - `deployed`: the versions with their catalogs, and the duties that follow for processes.

mod deployed;
mod pointer;
mod promotion;
mod sharing;
mod step;

pub use deployed::{ArchiveUnit, CountUnit, DeployedVersions, IndexUnit, LaneUnit, RowsUnit, Unresolved};
pub use pointer::{
    CATALOGS, Change, FOLDER, FORMAT, Pointer, PointerError, Promotion, Recorded, ReplayFrom, ReplayRecord, Stage,
    Verified, catalog_file, catalog_path, file_name, number_of, report_path,
};
pub use promotion::{Bounds, Candidate, Obstacle, code, obstacles, obstacles_back};
pub use sharing::{Conflict, archived_otherwise, changed, changed_in_place, undecodable};
pub use step::StepError;
