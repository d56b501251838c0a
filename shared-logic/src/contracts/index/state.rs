//! The builds of an index, and the steps from one state to the next (I4).
//!
//! A state is one document of the server, which is only ever replaced on top of what was read. So of two steps at once one wins, and the
//! other is taken anew on what that left. If the server has lost its data, it has lost the state as well, and everything is built again.
//!
//! A build begins with the rows of the materialised table at one version (`Loading`), is then followed by the lanes of workers
//! (`Following`), and serves once the check has found it equal to the table (`Serving`). It ends as `Kept`, which nobody follows, until it
//! is retired; one that failed, is not what it should be, or may hold what was erased, is `Ended`, and its index is deleted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::DefinitionHash;
use crate::log::{Offsets, PartitionId};

/// All builds of an index that the server has, or that were asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IndexState {
    /// How many builds were ever begun; the number of the newest.
    pub begun: u64,
    /// The builds by their numbers.
    pub builds: BTreeMap<u64, Build>,
    /// The definitions of which an operator has asked for another build.
    #[serde(default)]
    pub asked: Vec<DefinitionHash>,
    /// The build to which the alias was moved last.
    #[serde(default)]
    pub aliased: Option<u64>,
}

/// A build of an index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Build {
    /// The definition of the index.
    pub definition: DefinitionHash,
    /// How far it has come.
    pub stage: BuildStage,
    /// Why it was begun.
    pub why: Why,
    /// Who loads it: a random name of the process's life. Another process's load is another build.
    pub loader: String,
    /// How the server tells its index from another of the same name. Empty until that was created.
    pub uuid: String,
    /// Per partition, the first offset that the rows do not stand for with which it begins: where its lanes begin. Other partitions
    /// are none of its.
    pub base: Offsets,
    /// The version of the materialised table with these rows.
    pub table_version: u64,
    /// How many commits had taken erased changes out of the archive by then.
    pub erasures: usize,
    /// How many rows it begins with.
    pub rows: u64,
    /// How many of them were written.
    pub loaded: u64,
    /// How often its loader has said that it lives, also while the server takes no documents. States of older builds have none.
    #[serde(default)]
    pub beats: u64,
    /// When it was begun, microseconds since 1970 by the loader's clock. Nothing follows from it.
    pub begun_at_us: i64,
    /// When a check last found it equal to the table. Nothing follows from it.
    #[serde(default)]
    pub equal_at_us: Option<i64>,
}

/// How far a build has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = IndexBuildStage))]
#[serde(rename_all = "snake_case")]
pub enum BuildStage {
    /// Rows of the materialised table are written.
    Loading,
    /// Lanes go on from the log. It was not found equal to the table yet.
    Following,
    /// Searches ask it, and lanes go on from the log.
    Serving,
    /// Another has taken its place. It stays as it is until it is retired.
    Kept,
    /// It is to be deleted, and then forgotten.
    Ended,
}

/// Why a build was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = IndexBuildWhy))]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// There was none of this definition, or the server has lost it.
    None,
    /// The topic has partitions that the one before does not have, or it was created again, or a partition lost its tail.
    Partitions,
    /// The one before may hold what was erased.
    Erased,
    /// A check found it different from the table.
    Different,
    /// An operator has asked for it.
    Asked,
}

/// A step that the state does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexStepError {
    /// There is no such build, or it is not in a stage from which the step leads on.
    #[error("build {number} is {stage}; another process has taken a step")]
    NotInStage {
        /// The build.
        number: u64,
        /// Its stage, as a word.
        stage: &'static str,
    },
    /// The build is another process's to load.
    #[error("build {number} is loaded by another process")]
    OtherLoader {
        /// The build.
        number: u64,
    },
    /// The build serves, and no other does of its definition.
    #[error("build {number} serves searches; `braid index rebuild` makes another, after which it can be retired")]
    Serves {
        /// The build.
        number: u64,
    },
}

/// What is needed next of the builds of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needed {
    /// Nothing: a build serves, and is what it should be.
    Nothing,
    /// Another build.
    Build(Why),
    /// The check of a build that lanes follow, which serves once it is found equal.
    Check(u64),
    /// To wait for a build that is being loaded; its loader is taken for dead if nothing is heard of it.
    Loading(u64),
}

impl Why {
    /// The reason as a word.
    pub fn name(self) -> &'static str {
        match self {
            Why::None => "none",
            Why::Partitions => "partitions",
            Why::Erased => "erased",
            Why::Different => "different",
            Why::Asked => "asked",
        }
    }
}

impl BuildStage {
    /// The stage as a word.
    pub fn name(self) -> &'static str {
        match self {
            BuildStage::Loading => "loading",
            BuildStage::Following => "following",
            BuildStage::Serving => "serving",
            BuildStage::Kept => "kept",
            BuildStage::Ended => "ended",
        }
    }

    /// Whether lanes write to it.
    pub fn is_followed(self) -> bool {
        matches!(self, BuildStage::Following | BuildStage::Serving)
    }
}

impl IndexState {
    /// The build that searches of a definition ask.
    pub fn serving(&self, definition: &DefinitionHash) -> Option<(u64, &Build)> {
        self.of(definition).find(|(_, build)| build.stage == BuildStage::Serving)
    }

    /// The builds of a definition that lanes write to.
    pub fn followed<'s>(&'s self, definition: &DefinitionHash) -> impl Iterator<Item = (u64, &'s Build)> {
        self.of(definition).filter(|(_, build)| build.stage.is_followed())
    }

    /// Begins a build, which is the newest. Builds of the definition that were begun and do not serve yet end.
    pub fn begin(&self, build: Build) -> (IndexState, u64) {
        let mut next = self.clone();
        for other in next.builds.values_mut().filter(|other| other.definition == build.definition) {
            if matches!(other.stage, BuildStage::Loading | BuildStage::Following) {
                other.stage = BuildStage::Ended;
            }
        }
        next.asked.retain(|asked| *asked != build.definition);
        next.begun += 1;
        next.builds.insert(next.begun, Build { stage: BuildStage::Loading, ..build });
        let number = next.begun;
        (next, number)
    }

    /// Notes what the server calls the index of a build that is loaded, how many rows are written, and that its loader lives.
    ///
    /// # Errors
    /// [`IndexStepError`].
    pub fn load(&self, number: u64, loader: &str, uuid: &str, loaded: u64) -> Result<IndexState, IndexStepError> {
        self.with(number, &[BuildStage::Loading], |build| {
            if build.loader != loader {
                return Err(IndexStepError::OtherLoader { number });
            }
            uuid.clone_into(&mut build.uuid);
            (build.loaded, build.beats) = (loaded, build.beats + 1);
            Ok(())
        })
    }

    /// The rows of a build are written, and the progress of its lanes: they may go on.
    ///
    /// # Errors
    /// [`IndexStepError`].
    pub fn follow(&self, number: u64, loader: &str) -> Result<IndexState, IndexStepError> {
        self.with(number, &[BuildStage::Loading], |build| {
            if build.loader != loader {
                return Err(IndexStepError::OtherLoader { number });
            }
            (build.stage, build.loaded) = (BuildStage::Following, build.rows);
            Ok(())
        })
    }

    /// A build was found equal to the table: it serves from now on, and those of its definition that did are kept.
    ///
    /// # Errors
    /// [`IndexStepError`].
    pub fn promote(&self, number: u64, at_us: i64) -> Result<IndexState, IndexStepError> {
        let from = [BuildStage::Following, BuildStage::Serving];
        let mut next = self.with(number, &from, |build| {
            (build.stage, build.equal_at_us) = (BuildStage::Serving, Some(at_us));
            Ok(())
        })?;
        let definition = next.builds[&number].definition.clone();
        for (other, build) in &mut next.builds {
            if *other != number && build.definition == definition && build.stage == BuildStage::Serving {
                build.stage = BuildStage::Kept;
            }
        }
        Ok(next)
    }

    /// A build is not what it should be, or is gone: its index is to be deleted. It has no effect on one that has ended. What an operator
    /// has asked for, and never served, is asked for again: the build that serves may need no other.
    #[must_use]
    pub fn end(&self, number: u64) -> IndexState {
        let mut next = self.clone();
        let Some(build) = next.builds.get_mut(&number) else { return next };
        let is_owed = build.why == Why::Asked && matches!(build.stage, BuildStage::Loading | BuildStage::Following);
        build.stage = BuildStage::Ended;
        if !is_owed {
            return next;
        }
        let definition = build.definition.clone();
        next.ask(&definition)
    }

    /// Retires a build that was kept.
    ///
    /// # Errors
    /// [`IndexStepError`].
    pub fn retire(&self, number: u64) -> Result<IndexState, IndexStepError> {
        if self.builds.get(&number).is_some_and(|build| build.stage == BuildStage::Serving) {
            return Err(IndexStepError::Serves { number });
        }
        self.with(number, &[BuildStage::Kept], |build| {
            build.stage = BuildStage::Ended;
            Ok(())
        })
    }

    /// Forgets a build that has ended, once its index and the documents about it are deleted.
    #[must_use]
    pub fn forget(&self, number: u64) -> IndexState {
        let mut next = self.clone();
        next.builds.retain(|known, build| *known != number || build.stage != BuildStage::Ended);
        next
    }

    /// Asks for another build of a definition.
    #[must_use]
    pub fn ask(&self, definition: &DefinitionHash) -> IndexState {
        let mut next = self.clone();
        if !next.asked.contains(definition) {
            next.asked.push(definition.clone());
        }
        next
    }

    /// Of definitions that no version has any more, builds that serve are kept and others end, once those of the active version serve:
    /// until then the alias stays with them.
    #[must_use]
    pub fn tidied(&self, live: &[DefinitionHash], active: Option<&DefinitionHash>) -> IndexState {
        let mut next = self.clone();
        let is_replaced = active.is_none_or(|active| self.serving(active).is_some());
        for build in next.builds.values_mut().filter(|build| !live.contains(&build.definition)) {
            build.stage = match build.stage {
                BuildStage::Serving if is_replaced => BuildStage::Kept,
                BuildStage::Loading | BuildStage::Following => BuildStage::Ended,
                stage => stage,
            };
        }
        next.asked.retain(|asked| live.contains(asked));
        next
    }

    /// The builds that may hold what was erased: those of such definitions that began with rows of fewer erasures. One that has ended is among
    /// them until its index is deleted.
    pub fn holding_erased(&self, is_meant: impl Fn(&DefinitionHash) -> bool, erasures: usize) -> Vec<u64> {
        let holding = self.builds.iter().filter(|(_, build)| build.erasures < erasures && is_meant(&build.definition));
        holding.map(|(number, _)| *number).collect()
    }

    /// The builds of a definition, the newest first.
    fn of<'s>(&'s self, definition: &DefinitionHash) -> impl Iterator<Item = (u64, &'s Build)> {
        let builds = self.builds.iter().rev().filter(move |(_, build)| build.definition == *definition);
        builds.map(|(number, build)| (*number, build))
    }

    fn with(
        &self,
        number: u64,
        from: &[BuildStage],
        step: impl FnOnce(&mut Build) -> Result<(), IndexStepError>,
    ) -> Result<IndexState, IndexStepError> {
        let mut next = self.clone();
        let stage = next.builds.get(&number).map(|build| build.stage);
        match next.builds.get_mut(&number) {
            Some(build) if from.contains(&build.stage) => step(build)?,
            _ => return Err(IndexStepError::NotInStage { number, stage: stage.map_or("gone", BuildStage::name) }),
        }
        Ok(next)
    }
}

/// I4: what is needed next of a definition. `live` are the partitions that its topic has now, as the archive knows them, and `erasures` is
/// how many commits have taken erased changes out of it.
pub fn needed(state: &IndexState, definition: &DefinitionHash, live: &[PartitionId], erasures: usize) -> Needed {
    let is_whole = |build: &Build| live.iter().all(|id| build.base.get(id).is_some());
    let is_clean = |build: &Build| build.erasures >= erasures;
    let underway =
        state.of(definition).find(|(_, build)| matches!(build.stage, BuildStage::Loading | BuildStage::Following));
    let asked = state.asked.contains(definition);
    if let Some((number, build)) = underway.filter(|(_, build)| is_whole(build) && is_clean(build) && !asked) {
        return match build.stage {
            BuildStage::Loading => Needed::Loading(number),
            _ => Needed::Check(number),
        };
    }
    match state.serving(definition) {
        _ if asked => Needed::Build(Why::Asked),
        None => Needed::Build(Why::None),
        Some((_, build)) if !is_clean(build) => Needed::Build(Why::Erased),
        Some((_, build)) if !is_whole(build) => Needed::Build(Why::Partitions),
        Some(_) => Needed::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(digit: char) -> DefinitionHash {
        String::from(digit).repeat(16).parse().expect("16 digits")
    }

    fn build(definition: char, partitions: i32) -> Build {
        Build {
            definition: hash(definition),
            stage: BuildStage::Loading,
            why: Why::None,
            loader: "me".to_owned(),
            uuid: String::new(),
            base: partitions_of(partitions).into_iter().map(|id| (id, 5)).collect(),
            table_version: 3,
            erasures: 1,
            rows: 9,
            loaded: 0,
            beats: 0,
            begun_at_us: 0,
            equal_at_us: None,
        }
    }

    fn partitions_of(partitions: i32) -> Vec<PartitionId> {
        (0..partitions).map(|partition| PartitionId::new("log", partition)).collect()
    }

    fn served(state: &IndexState, definition: char, partitions: i32) -> IndexState {
        let (state, number) = state.begin(build(definition, partitions));
        let state = state.load(number, "me", "uuid", 4).expect("it loads");
        state.follow(number, "me").expect("it is loaded").promote(number, 7).expect("it is followed")
    }

    #[test]
    fn a_build_serves_only_after_it_was_loaded_and_found_equal() {
        let (loading, one) = IndexState::default().begin(build('a', 2));
        assert_eq!(needed(&IndexState::default(), &hash('a'), &partitions_of(2), 1), Needed::Build(Why::None));
        assert_eq!(needed(&loading, &hash('a'), &partitions_of(2), 1), Needed::Loading(one));
        assert!(loading.promote(one, 7).is_err(), "it was not loaded");
        assert_eq!(loading.follow(one, "other"), Err(IndexStepError::OtherLoader { number: one }));
        let following = loading.follow(one, "me").expect("loaded");
        assert!(following.serving(&hash('a')).is_none() && following.followed(&hash('a')).count() == 1);
        assert_eq!(needed(&following, &hash('a'), &partitions_of(2), 1), Needed::Check(one));
        let serving = following.promote(one, 7).expect("equal");
        assert_eq!(serving.serving(&hash('a')).map(|(number, _)| number), Some(one));
        assert_eq!(needed(&serving, &hash('a'), &partitions_of(2), 1), Needed::Nothing);
    }

    #[test]
    fn partitions_erasures_and_operators_ask_for_another_build() {
        let serving = served(&IndexState::default(), 'a', 2);
        assert_eq!(needed(&serving, &hash('a'), &partitions_of(3), 1), Needed::Build(Why::Partitions));
        assert_eq!(needed(&serving, &hash('a'), &partitions_of(2), 2), Needed::Build(Why::Erased));
        assert_eq!(needed(&serving.ask(&hash('a')), &hash('a'), &partitions_of(2), 1), Needed::Build(Why::Asked));
        let (next, two) = serving.ask(&hash('a')).begin(build('a', 2));
        assert_eq!(needed(&next, &hash('a'), &partitions_of(2), 1), Needed::Loading(two));
        assert_eq!(next.serving(&hash('a')).map(|(number, _)| number), Some(1), "the old one serves meanwhile");
        let promoted = next.follow(two, "me").and_then(|next| next.promote(two, 8)).expect("equal");
        assert_eq!(promoted.builds[&1].stage, BuildStage::Kept);
        assert_eq!(promoted.retire(two), Err(IndexStepError::Serves { number: two }));
        assert_eq!(promoted.retire(1).expect("kept").forget(1).builds.len(), 1);
        assert_eq!(promoted.forget(1), promoted, "it has not ended");
    }

    #[test]
    fn what_an_operator_has_asked_for_is_asked_for_until_it_has_served() {
        let serving = served(&IndexState::default(), 'a', 2);
        let (begun, two) = serving.ask(&hash('a')).begin(Build { why: Why::Asked, ..build('a', 2) });
        let following = begun.follow(two, "me").expect("loaded");
        assert!(following.asked.is_empty(), "it is under way");
        let ended = following.end(two);
        assert_eq!(needed(&ended, &hash('a'), &partitions_of(2), 1), Needed::Build(Why::Asked), "it was not equal");
        assert_eq!(ended.end(two), ended, "it has ended");
        let promoted = following.promote(two, 8).expect("equal");
        assert!(promoted.end(two).asked.is_empty(), "it has served");
    }

    #[test]
    fn the_loader_of_a_build_that_was_replaced_gets_nowhere() {
        let (first, one) = IndexState::default().begin(build('a', 2));
        let (second, _) = first.begin(Build { loader: "other".to_owned(), ..build('a', 2) });
        assert_eq!(second.builds[&one].stage, BuildStage::Ended);
        assert!(second.load(one, "me", "uuid", 5).is_err() && second.follow(one, "me").is_err());
    }

    #[test]
    fn each_note_of_a_loader_says_that_it_lives_whether_or_not_rows_were_written() {
        let (state, one) = IndexState::default().begin(build('a', 2));
        let noted = |state: &IndexState| state.load(one, "me", "uuid", 4).expect("it loads");
        let (first, second) = (noted(&state), noted(&noted(&state)));
        assert_eq!((first.builds[&one].loaded, second.builds[&one].loaded), (4, 4));
        assert!(second.builds[&one].beats > first.builds[&one].beats, "the server is blocked, and its loader lives");
    }

    #[test]
    fn a_build_of_before_an_erasure_may_hold_what_was_erased_until_it_is_deleted() {
        let both = served(&served(&IndexState::default(), 'a', 2), 'b', 2);
        assert!(both.holding_erased(|_| true, 1).is_empty());
        assert_eq!(both.holding_erased(|_| true, 2), [1, 2]);
        assert_eq!(
            both.holding_erased(|definition| *definition == hash('b'), 2),
            [2],
            "the other follows something else"
        );
        assert_eq!(both.end(1).holding_erased(|_| true, 2), [1, 2], "its index is still there");
        assert_eq!(both.end(1).forget(1).holding_erased(|_| true, 2), [2]);
    }

    #[test]
    fn what_no_version_has_any_more_serves_until_the_active_one_does() {
        let old = served(&IndexState::default(), 'a', 2);
        let waiting = old.tidied(&[hash('b')], Some(&hash('b')));
        assert_eq!(waiting.builds[&1].stage, BuildStage::Serving);
        let both = served(&old, 'b', 2);
        assert_eq!(both.tidied(&[hash('b')], Some(&hash('b'))).builds[&1].stage, BuildStage::Kept);
        assert_eq!(both.tidied(&[hash('a'), hash('b')], Some(&hash('b'))).builds[&1].stage, BuildStage::Serving);
    }

    #[test]
    fn a_state_is_read_as_it_was_written() {
        let state = served(&IndexState::default(), 'a', 2).ask(&hash('a'));
        let text = serde_json::to_string(&state).expect("written");
        assert_eq!(serde_json::from_str::<IndexState>(&text).expect("read"), state);
    }
}
