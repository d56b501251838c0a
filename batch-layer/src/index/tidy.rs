//! Builds that ended are deleted, and the alias is moved to the build that serves.

use platform::failpoints;
use shared_logic::catalog::DefinitionHash;
use shared_logic::contracts::index::{BuildStage, IndexState};
use storage::StatePut;
use tracing::info;

use super::{IndexError, Keeper};

impl Keeper<'_> {
    /// Ends the builds that may hold what was erased, at once. Those of a definition that no version has any more are ended as well, by the
    /// same number of erasures: one that is ended without need is only no way back any more.
    pub(super) async fn end_erased(&self, erasures: usize) -> Result<IndexState, IndexError> {
        let (own, definitions) = (&self.unit.definition, self.definitions());
        self.step(|state| {
            let is_looked_after =
                |definition: &DefinitionHash| definition == own || (self.tidies() && !definitions.contains(definition));
            let holding = state.holding_erased(is_looked_after, erasures);
            let holding = holding.iter().filter(|number| state.builds[*number].stage != BuildStage::Ended);
            Ok(holding.fold(state.clone(), |next, number| next.end(*number)))
        })
        .await
    }

    /// Deletes the builds that ended, and those of which nothing is known. Only the host of one definition does so: of the active version's,
    /// if that has the index.
    pub(super) async fn tidy(&self) -> Result<(), IndexError> {
        if !self.tidies() {
            return Ok(());
        }
        let index = &self.unit.index;
        // Before the state: a build that is begun meanwhile is named there.
        let there = self.client.indexes_of(index).await?;
        let state = self.tidied().await?;
        let names: Vec<String> = state.builds.keys().map(|number| self.build_name(*number)).collect();
        for unknown in there.iter().filter(|info| !names.contains(&info.name)) {
            info!(index, name = unknown.name, "deleting an index of which nothing is known");
            self.client.delete_index(&unknown.name).await?;
        }
        let ended = state.builds.iter().filter(|(_, build)| build.stage == BuildStage::Ended);
        for number in ended.map(|(number, _)| *number) {
            self.client.delete_index(&self.build_name(number)).await?;
            self.client.forget_build(index, number).await?;
            self.step(|state| Ok(state.forget(number))).await?;
            info!(index, build = number, "the build is deleted");
        }
        let known: Vec<u64> = state.builds.keys().copied().collect();
        Ok(self.client.forget_others(index, &known, state.begun).await?)
    }

    /// The state without what no version needs any more. It stays as it was read if there are other versions by now than this run knows, of
    /// which one may need that, or if another process was faster: a later run sees to it.
    async fn tidied(&self) -> Result<IndexState, IndexError> {
        let active = self.unit.is_active.then_some(&self.unit.definition);
        let read = self.client.state(&self.unit.index).await?;
        let next = read.state.tidied(&self.definitions(), active);
        // Asked after the state was read, which is put only in the place of that: the version of a build that is in it was created before.
        if next == read.state || !self.knows_all_versions().await? {
            return Ok(read.state);
        }
        match self.client.put_state(&self.unit.index, &read, &next).await? {
            StatePut::Done => Ok(next),
            StatePut::Overtaken => Ok(read.state),
        }
    }

    /// Whether the versions are still those of when the run began, which may be long ago.
    async fn knows_all_versions(&self) -> Result<bool, IndexError> {
        Ok(self.pointer.is_newest(self.versions.number).await?)
    }

    /// Moves the alias to the build that serves the active version, if one does. If another version may be active by now, that is left to a
    /// run which knows it.
    pub(super) async fn align(&self) -> Result<(), IndexError> {
        if !self.unit.is_active {
            return Ok(());
        }
        let (index, definition) = (&self.unit.index, &self.unit.definition);
        let serves =
            |state: &IndexState, number: u64| state.serving(definition).is_some_and(|(serving, _)| serving == number);
        loop {
            let state = self.client.state(index).await?.state;
            let Some((number, _)) = state.serving(definition) else { return Ok(()) };
            if !self.knows_all_versions().await? {
                return Ok(());
            }
            failpoints::pass("index::before_alias");
            self.client.align_alias(index, Some(number)).await?;
            // Read anew: the alias is moved without a condition, and another build may have been promoted before it was.
            let noted = self.step(|state| {
                let aliased = if serves(state, number) { Some(number) } else { state.aliased };
                Ok(IndexState { aliased, ..state.clone() })
            });
            let noted = noted.await?;
            if serves(&noted, number) {
                if state.aliased != Some(number) {
                    info!(index, build = number, "the alias is that of another build");
                }
                return Ok(());
            }
        }
    }

    /// Whether it looks after what belongs to no definition of a version.
    fn tidies(&self) -> bool {
        let units: Vec<_> = self.versions.indexes().into_iter().filter(|unit| unit.index == self.unit.index).collect();
        let first = units.iter().find(|unit| unit.is_active).or(units.first());
        first.is_some_and(|unit| unit.definition == self.unit.definition)
    }
}

#[cfg(test)]
mod tests;
