//! What all lanes of one build share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use platform::kafka::Topics;
use platform::settings::Speed;
use platform::store::StoreError;
use platform::telemetry::error_text;
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::index::{Build, IndexState};
use shared_logic::log::PartitionId;
use storage::{Followed, SearchClient, SearchError};
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::changes::Changes;
use super::error::{Logged, Lost, NotOpen};
use crate::log::identity::LogIdentity;

/// For how long an index is taken for the same without asking. A server that has lost its data was away for longer than that.
pub(super) const COMPARED_FOR: Duration = Duration::from_secs(5);

/// What all lanes of one build share.
pub(super) struct Shared {
    /// Asks the search server.
    pub(super) client: SearchClient,
    /// The index.
    pub(super) index: String,
    /// The number of the build.
    pub(super) number: u64,
    /// The build, as the state said when its reader began.
    pub(super) build: Build,
    /// What its index is called in the server.
    pub(super) name: String,
    /// The topic that is read.
    pub(super) topic: String,
    /// Makes documents.
    pub(super) changes: Changes,
    /// The speed layer's settings.
    pub(super) settings: Speed,
    /// Asks for the id of the topic (R7).
    pub(super) identity: LogIdentity,
    /// Asks Kafka about topics.
    pub(super) topics: Topics,
    /// The archive of what is read.
    pub(super) archive: Mutex<Followed<Facts>>,
    /// The newest facts that were read, so that lanes see which incarnation of their partition goes on (R12), and what was erased.
    pub(super) facts: watch::Sender<Arc<Facts>>,
    /// When the index was last found to be that of the build.
    pub(super) compared: Mutex<Option<Instant>>,
    /// Whether it was logged that the build is given up.
    pub(super) is_given_up: AtomicBool,
}

impl Shared {
    /// The archive's newest facts, told to all lanes; none before the archiver's first commit.
    ///
    /// # Errors
    /// If the archive cannot be read.
    pub(super) async fn newest_facts(&self) -> Result<Arc<Facts>, StoreError> {
        let facts = self.archive.lock().await.newest().await?.and_then(|archive| archive.note().cloned());
        let facts = facts.unwrap_or_default();
        self.facts.send_replace(Arc::clone(&facts));
        Ok(facts)
    }

    /// R12: whether the archive has begun another incarnation of that partition.
    pub(super) fn goes_on_elsewhere(&self, id: &PartitionId) -> bool {
        self.facts.borrow().current(id.topic(), id.partition).incarnation() > id.incarnation()
    }

    /// Whether the build may hold what was erased, as far as it is known.
    pub(super) fn may_hold_erased(&self) -> bool {
        self.facts.borrow().erased_parts() > self.build.erasures
    }

    /// Whether the index in the server is that of the build: now, or at most so long ago. One that was lost and created again has another
    /// uuid.
    ///
    /// # Errors
    /// [`SearchError`].
    pub(super) async fn is_there(&self, at_most: Duration) -> Result<bool, SearchError> {
        // Lanes that ask at the same time wait for one answer.
        let mut compared = self.compared.lock().await;
        if compared.is_some_and(|at| at.elapsed() < at_most) {
            return Ok(true);
        }
        let asked = Instant::now();
        let found = self.client.index(&self.name).await?;
        let is_there = found.is_some_and(|index| index.uuid == self.build.uuid);
        *compared = is_there.then_some(asked);
        Ok(is_there)
    }

    /// Ends the build in the state of the index, and returns why.
    ///
    /// # Errors
    /// [`SearchError`].
    pub(super) async fn give_up(&self, why: Lost) -> Result<Lost, SearchError> {
        let step = |state: &IndexState| Ok::<_, SearchError>(without(state, self.number, &self.build.uuid));
        self.client.step(&self.index, step).await?;
        if !self.is_given_up.swap(true, Ordering::Relaxed) {
            let (index, build) = (self.index.as_str(), self.number);
            warn!(index, build, %why, "a build of an index is given up; the batch layer builds another");
        }
        Ok(why)
    }

    /// Gives the build up if it may hold what was erased, or the server has lost it.
    ///
    /// # Errors
    /// [`NotOpen`]: above all, that it was given up.
    pub(super) async fn check(&self, at_most: Duration) -> Result<Arc<Facts>, NotOpen> {
        let facts = self.newest_facts().await?;
        if self.may_hold_erased() {
            return Err(NotOpen::Lost(self.give_up(Lost::Erased).await?));
        }
        if !self.is_there(at_most).await? {
            return Err(NotOpen::Lost(self.give_up(Lost::Index).await?));
        }
        Ok(facts)
    }
}

/// Keeps looking whether a build may be written, also while nothing is read.
pub(super) async fn watch_build(shared: Arc<Shared>, stop: CancellationToken) {
    let mut logged = Logged::default();
    while !stop.is_cancelled() {
        tokio::select! {
            checked = shared.check(Duration::ZERO) => match checked {
                Err(NotOpen::Lost(_)) => {}
                Err(error) if logged.is_due("check", Instant::now()) => {
                    let (index, build) = (shared.index.as_str(), shared.number);
                    warn!(index, build, error = error_text(&error), "cannot look after a build of an index; trying again");
                }
                Err(_) => {}
                Ok(_) => logged.forget(),
            },
            () = stop.cancelled() => {}
        }
        tokio::select! {
            () = tokio::time::sleep(COMPARED_FOR) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// The state without that build, which has ended. After the server lost its data, another build may have its number.
fn without(state: &IndexState, number: u64, uuid: &str) -> IndexState {
    let is_it = state.builds.get(&number).is_some_and(|build| build.uuid == uuid && build.stage.is_followed());
    if is_it { state.end(number) } else { state.clone() }
}

#[cfg(test)]
mod tests {
    use shared_logic::contracts::index::{BuildStage, Why};
    use shared_logic::log::Offsets;

    use super::*;

    #[test]
    fn a_build_is_given_up_and_none_that_only_has_its_number() {
        let build = Build {
            definition: "00000000000000aa".parse().expect("a hash"),
            stage: BuildStage::Loading,
            why: Why::None,
            loader: "me".to_owned(),
            uuid: String::new(),
            base: Offsets::default(),
            table_version: 1,
            erasures: 0,
            rows: 0,
            loaded: 0,
            beats: 0,
            begun_at_us: 0,
            equal_at_us: None,
        };
        let (loading, number) = IndexState::default().begin(build);
        let loading = loading.load(number, "me", "a", 0).expect("it loads");
        assert_eq!(without(&loading, number, "a"), loading, "no lane writes to it yet");
        let following = loading.follow(number, "me").expect("it is loaded");
        assert_eq!(without(&following, number, "b"), following, "a build after the server lost its data");
        assert_eq!(without(&following, number + 1, "a"), following);
        assert_eq!(without(&following, number, "a").builds[&number].stage, BuildStage::Ended);
        let serving = following.promote(number, 5).expect("it is followed");
        assert_eq!(without(&serving, number, "a").builds[&number].stage, BuildStage::Ended);
        assert_eq!(without(&IndexState::default(), number, "a"), IndexState::default(), "all is lost");
    }
}
