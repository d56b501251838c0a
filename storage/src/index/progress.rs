//! How far the lanes of a build have written, and what the server refused (I2, I3).

use shared_logic::contracts::index::{Progress, Refused};
use shared_logic::log::PartitionId;

use super::{SearchClient, SearchError};

impl SearchClient {
    /// The progress of lanes of a build, in real time (`_mget`), in the order of `ids`; `None`: there is none.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn progress(
        &self,
        index: &str,
        build: u64,
        ids: &[PartitionId],
    ) -> Result<Vec<Option<Progress>>, SearchError> {
        todo!("A: {index} {build} {ids:?}")
    }

    /// Notes the progress of a lane, unless a later one is there: `version_type=external_gte`, the cursor as the version. Returns whether it
    /// is there now; `false`: a later one was, so another worker goes on with the lane. Fail points: `search::before_progress`, `search::after_progress`.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn put_progress(
        &self,
        index: &str,
        build: u64,
        id: &PartitionId,
        progress: &Progress,
    ) -> Result<bool, SearchError> {
        todo!("A: {index} {build} {id} {progress:?}")
    }

    /// Keeps documents that were refused (`version_type=external_gte`, the version of the document).
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn keep_refused(&self, index: &str, build: u64, refused: &[Refused]) -> Result<(), SearchError> {
        todo!("A: {index} {build} {refused:?}")
    }

    /// Removes what was kept of ids up to those versions (`version_type=external_gte` deletes): a later document of them was taken.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn forget_refused(&self, index: &str, build: u64, ids: &[(String, u64)]) -> Result<(), SearchError> {
        todo!("A: {index} {build} {ids:?}")
    }

    /// What was refused of a build, after a refresh of the progress index: at most so many, by id, and how many there are.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn refused(&self, index: &str, build: u64, limit: u64) -> Result<(Vec<Refused>, u64), SearchError> {
        todo!("A: {index} {build} {limit}")
    }

    /// Deletes all documents about a build (its progress, and what was refused).
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn forget_build(&self, index: &str, build: u64) -> Result<(), SearchError> {
        todo!("A: {index} {build}")
    }
}
