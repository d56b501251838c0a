//! What may happen to the pointer. Each step gives the next pointer, or says why it is not taken.

use super::pointer::{Change, FORMAT, Pointer, Promotion, Recorded, ReplayFrom, ReplayRecord, Stage, Verified};
use crate::catalog::{Changed, Deployment};

/// How many promotions are remembered.
const PROMOTIONS_MAX: usize = 100;

/// Why a step is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// The name of a new version is not plain.
    #[error("`{0}` is no name for a version: use 1 to 64 of a-z, 0-9, _ and -")]
    NoName(String),
    /// There is, or was, a version of that name, of another catalog.
    #[error(
        "there is, or was, a version {name} ({stage}); a version is fixed, and its name is never used again: take another name"
    )]
    Exists {
        /// The name.
        name: String,
        /// Its stage.
        stage: &'static str,
    },
    /// As many versions live as may.
    #[error("{0} versions live, which is the setting versions.max: retire one (`braid version list`)")]
    TooMany(usize),
    /// There is no such version.
    #[error("there is no version {name}; there are {}", known.join(", "))]
    Unknown {
        /// The name.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The step needs another stage.
    #[error("version {name} is {stage}: {advice}")]
    Stage {
        /// The version.
        name: String,
        /// Its stage.
        stage: &'static str,
        /// What can be done.
        advice: &'static str,
    },
    /// The step is not for the active version.
    #[error("version {0} is the active one: promote another version first")]
    Active(String),
    /// It was replayed in another way.
    #[error(
        "version {name} is being replayed from the {from} already; to begin in another way, retire it and create another version"
    )]
    OtherWay {
        /// The version.
        name: String,
        /// What its replay reads.
        from: &'static str,
    },
    /// Other steps were taken since somebody looked, and the version before is another one.
    #[error("{active} is active by now, and {judged} is not the version before it: look again (`braid version list`)")]
    AnotherBefore {
        /// The active version.
        active: String,
        /// The version that was to answer again.
        judged: String,
    },
    /// There is no version to go back to.
    #[error("no version was active before {0}, or it is retired")]
    NoneBefore(String),
}

impl ReplayFrom {
    /// The word for it, as in the pointer.
    pub fn word(self) -> &'static str {
        match self {
            ReplayFrom::Log => "log",
            ReplayFrom::Archive => "archive",
        }
    }
}

impl Pointer {
    /// The first pointer of a deployment: its first version, which was active all the time.
    pub fn begin(first: &str, change: Change) -> Pointer {
        let recorded = Recorded {
            number: 0,
            created_at_us: change.at_us,
            catalog: None,
            changed: Changed::default(),
            stage: Stage::Following,
            replay: None,
            verified: None,
            last_active_us: None,
        };
        Pointer {
            format: FORMAT,
            change,
            first: first.to_owned(),
            active: first.to_owned(),
            before: None,
            versions: [(first.to_owned(), recorded)].into(),
            promotions: Vec::new(),
        }
    }

    /// K3: adds a version. `catalog` is the hash of its text. Adding the same again changes nothing, `max` is how many versions may live.
    ///
    /// # Errors
    /// [`StepError`].
    pub fn create(
        &self,
        name: &str,
        catalog: &str,
        changed: Changed,
        max: usize,
        change: Change,
    ) -> Result<Pointer, StepError> {
        if !Deployment::is_name(name) {
            return Err(StepError::NoName(name.to_owned()));
        }
        if let Some(known) = self.versions.get(name) {
            let is_same = known.stage.lives() && known.catalog.as_deref() == Some(catalog);
            let exists = || StepError::Exists { name: name.to_owned(), stage: known.stage.word() };
            return if is_same { Ok(self.clone()) } else { Err(exists()) };
        }
        let living = self.versions.values().filter(|recorded| recorded.stage.lives()).count();
        if living >= max {
            return Err(StepError::TooMany(living));
        }
        let number = self.versions.values().map(|recorded| recorded.number + 1).max().unwrap_or(0);
        let recorded = Recorded {
            number,
            created_at_us: change.at_us,
            catalog: Some(catalog.to_owned()),
            changed,
            stage: Stage::Created,
            replay: None,
            verified: None,
            last_active_us: None,
        };
        let mut next = self.next(change);
        next.versions.insert(name.to_owned(), recorded);
        Ok(next)
    }

    /// K4: begins the replay of a version, or goes on with one that was stopped. `counts_first`: whether the batch layer has to count archives
    /// before the speed layer may go on from there. A replay that runs stays as it is.
    ///
    /// # Errors
    /// [`StepError`].
    pub fn replay(
        &self,
        name: &str,
        from: ReplayFrom,
        counts_first: bool,
        change: Change,
    ) -> Result<Pointer, StepError> {
        let known = self.recorded(name)?;
        if let Some(replay) = known.replay.as_ref().filter(|replay| replay.from != from) {
            return Err(StepError::OtherWay { name: name.to_owned(), from: replay.from.word() });
        }
        let stage = match (known.stage, known.catalog.is_some()) {
            (Stage::Created | Stage::Stopped, true) if counts_first => Stage::Counting,
            (Stage::Created | Stage::Stopped, true) => Stage::Following,
            (Stage::Counting | Stage::Following, true) => return Ok(self.clone()),
            (_, true) => return Err(self.wrong_stage(name, "it is gone; create another version")),
            (_, false) => {
                return Err(
                    self.wrong_stage(name, "the first version is what its log and archive give, and needs no replay")
                );
            }
        };
        let record = known.replay.clone().unwrap_or(ReplayRecord { from, started_at_us: change.at_us });
        self.changed(name, change, |recorded| {
            recorded.stage = stage;
            recorded.replay = Some(record);
        })
    }

    /// The batch layer has counted archives for a version: the speed layer may open its shards.
    ///
    /// # Errors
    /// [`StepError`].
    pub fn counted(&self, name: &str, change: Change) -> Result<Pointer, StepError> {
        match self.recorded(name)?.stage {
            Stage::Following => Ok(self.clone()),
            Stage::Counting => self.changed(name, change, |recorded| recorded.stage = Stage::Following),
            _ => Err(self.wrong_stage(name, "`braid version replay` goes on with it")),
        }
    }

    /// Stops counting a version for a while. The first version has no replay that could go on later.
    ///
    /// # Errors
    /// [`StepError`].
    pub fn stop(&self, name: &str, change: Change) -> Result<Pointer, StepError> {
        self.not_active(name)?;
        let known = self.recorded(name)?;
        match known.stage {
            Stage::Stopped => Ok(self.clone()),
            Stage::Following if known.replay.is_none() => {
                let advice = "no replay could go on with it later; retire it if it is not needed any more";
                Err(self.wrong_stage(name, advice))
            }
            Stage::Counting | Stage::Following => {
                self.changed(name, change, |recorded| recorded.stage = Stage::Stopped)
            }
            _ => Err(self.wrong_stage(name, "nothing of it runs")),
        }
    }

    /// K6: notes a verification that found no difference.
    ///
    /// # Errors
    /// [`StepError`].
    pub fn verified(&self, name: &str, verified: Verified, change: Change) -> Result<Pointer, StepError> {
        match self.recorded(name)?.stage {
            Stage::Following => self.changed(name, change, |recorded| recorded.verified = Some(verified)),
            _ => Err(self.wrong_stage(
                name,
                "only a version that is replayed can be verified; `braid version replay` begins that",
            )),
        }
    }

    /// K7: makes a version the active one. What stands against that has been judged before, see [`obstacles`](super::obstacles), and `forced` is
    /// what of it was overridden.
    ///
    /// # Errors
    /// [`StepError`].
    pub fn promote(
        &self,
        name: &str,
        lag_ms: Option<u64>,
        forced: Vec<String>,
        change: Change,
    ) -> Result<Pointer, StepError> {
        self.activate(name, lag_ms, forced, false, change)
    }

    /// K9: makes the version before the active one again. What stands against that has been judged of the version `judged`.
    ///
    /// # Errors
    /// [`StepError`].
    pub fn roll_back(
        &self,
        judged: &str,
        lag_ms: Option<u64>,
        forced: Vec<String>,
        change: Change,
    ) -> Result<Pointer, StepError> {
        self.not_active(judged)?;
        let before = self.before.as_deref().ok_or_else(|| StepError::NoneBefore(self.active.clone()))?;
        if before != judged {
            let (active, judged) = (self.active.clone(), judged.to_owned());
            return Err(StepError::AnotherBefore { active, judged });
        }
        self.activate(before, lag_ms, forced, true, change)
    }

    /// K9: begins to remove a version. From then on no process counts or answers for it.
    ///
    /// # Errors
    /// [`StepError`].
    pub fn retire(&self, name: &str, change: Change) -> Result<Pointer, StepError> {
        self.not_active(name)?;
        if !self.recorded(name)?.stage.lives() {
            return Ok(self.clone());
        }
        let mut next = self.changed(name, change, |recorded| recorded.stage = Stage::Retiring)?;
        next.before = next.before.filter(|before| before != name);
        Ok(next)
    }

    /// K9: a version is removed.
    ///
    /// # Errors
    /// [`StepError`].
    pub fn retired(&self, name: &str, change: Change) -> Result<Pointer, StepError> {
        match self.recorded(name)?.stage {
            Stage::Retired => Ok(self.clone()),
            Stage::Retiring => self.changed(name, change, |recorded| recorded.stage = Stage::Retired),
            _ => Err(self.wrong_stage(name, "`braid version retire` begins with it")),
        }
    }

    fn activate(
        &self,
        name: &str,
        lag_ms: Option<u64>,
        forced: Vec<String>,
        rolled_back: bool,
        change: Change,
    ) -> Result<Pointer, StepError> {
        self.not_active(name)?;
        let known = self.recorded(name)?;
        if !known.stage.is_counted() {
            return Err(self.wrong_stage(
                name,
                "only a version that the speed layer counts can answer; see `braid version replay`",
            ));
        }
        let (at_us, by) = (change.at_us, change.by.clone());
        let (from, to, verified) = (self.active.clone(), name.to_owned(), known.verified.clone());
        let mut next = self.next(change);
        if let Some(before) = next.versions.get_mut(&from) {
            before.last_active_us = Some(at_us);
        }
        if let Some(active) = next.versions.get_mut(name) {
            active.last_active_us = None;
        }
        next.active.clone_from(&to);
        next.before = Some(from.clone());
        next.promotions.push(Promotion { at_us, by, from, to, verified, lag_ms, forced, rolled_back });
        let superfluous = next.promotions.len().saturating_sub(PROMOTIONS_MAX);
        next.promotions.drain(..superfluous);
        Ok(next)
    }

    /// What is known of a version.
    ///
    /// # Errors
    /// [`StepError::Unknown`].
    pub fn recorded(&self, name: &str) -> Result<&Recorded, StepError> {
        let unknown = || StepError::Unknown { name: name.to_owned(), known: self.versions.keys().cloned().collect() };
        self.versions.get(name).ok_or_else(unknown)
    }

    fn not_active(&self, name: &str) -> Result<(), StepError> {
        if name == self.active { Err(StepError::Active(name.to_owned())) } else { Ok(()) }
    }

    fn wrong_stage(&self, name: &str, advice: &'static str) -> StepError {
        let stage = self.versions.get(name).map_or(Stage::Retired, |recorded| recorded.stage).word();
        StepError::Stage { name: name.to_owned(), stage, advice }
    }

    fn next(&self, change: Change) -> Pointer {
        Pointer { change, ..self.clone() }
    }

    fn changed(&self, name: &str, change: Change, alter: impl FnOnce(&mut Recorded)) -> Result<Pointer, StepError> {
        self.recorded(name)?;
        let mut next = self.next(change);
        if let Some(recorded) = next.versions.get_mut(name) {
            alter(recorded);
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests;
