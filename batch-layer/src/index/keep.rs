//! What is needed of an index, and what follows of a check.

use std::time::Instant;

use metrics::counter;
use platform::clock::now_us;
use platform::failpoints;
use shared_logic::contracts::index::{Build, BuildStage, IndexCheck, IndexState, Needed, NotChecked, Why, needed};
use shared_logic::contracts::reconciliation::Reconciliation;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::loads::Sign;
use super::{Basis, IndexError, Keeper, live};

impl Keeper<'_> {
    /// Looks after the index: begins a build if one is needed, compares one with the table, and has it serve. Returns what a check has found.
    ///
    /// # Errors
    /// [`IndexError`]. Whatever was done stays done; the next call goes on from there.
    pub(crate) async fn keep(&self, stop: &CancellationToken) -> Result<Option<Reconciliation>, IndexError> {
        // Before the archive, so that it is never newer than that.
        let table = self.storage.table(&self.subject.name).await?;
        let Some(archive) = self.storage.archive(&self.subject.archived.name).await? else { return Ok(None) };
        let facts = archive.facts();
        let (live, erasures) = (live(&facts), facts.erased_parts());
        let state = self.end_erased(erasures).await?;
        self.tidy().await?;
        let note = table.as_ref().and_then(|table| table.note().cloned());
        let noted = table.zip(note).filter(|(_, note)| note.definition == self.subject.definition);
        let Some((table, note)) = noted else {
            info!(index = self.unit.index, "the index waits for its rows to be materialised");
            return Ok(None);
        };
        let basis = Basis { table, note, facts, live, erasures };
        let kept = self.keep_on(&state, &basis, stop).await;
        // Also where a check was not possible: another process may have found the build equal.
        self.align().await?;
        kept
    }

    async fn keep_on(
        &self,
        state: &IndexState,
        basis: &Basis,
        stop: &CancellationToken,
    ) -> Result<Option<Reconciliation>, IndexError> {
        let (index, definition) = (&self.unit.index, &self.unit.definition);
        let now_needed = |state: &IndexState| needed(state, definition, &basis.live, basis.erasures);
        let number = match now_needed(state) {
            Needed::Check(number) => number,
            Needed::Nothing => match state.serving(definition) {
                Some((number, _)) => number,
                None => return Ok(None),
            },
            Needed::Build(_) if !basis.is_whole() => {
                info!(index, "a build waits for rows of every partition to be materialised");
                return Ok(None);
            }
            Needed::Build(why) => {
                self.build(basis, why, |state| matches!(now_needed(state), Needed::Build(_)), stop).await?
            }
            Needed::Loading(number) => {
                let build = &state.builds[&number];
                let (loaded, why, sign) = (build.loaded, build.why, Sign::of(build));
                if !self.loads.is_dead(index, number, &sign, Instant::now()) {
                    info!(index, build = number, loaded, "another process loads the build");
                    return Ok(None);
                }
                if !basis.is_whole() {
                    return Ok(None);
                }
                warn!(index, build = number, loaded, "nothing is heard of who loads the build; beginning another");
                let is_same = |state: &IndexState| {
                    let build = state.builds.get(&number);
                    build.is_some_and(|build| build.stage == BuildStage::Loading && Sign::of(build) == sign)
                };
                self.build(basis, why, is_same, stop).await?
            }
        };
        self.checked(number, basis, stop).await
    }

    /// Checks a build, and does what follows: it serves from then on, or it ends, or another one is begun beside it.
    async fn checked(
        &self,
        number: u64,
        basis: &Basis,
        stop: &CancellationToken,
    ) -> Result<Option<Reconciliation>, IndexError> {
        let state = self.client.state(&self.unit.index).await?.state;
        let followed = state.builds.get(&number).filter(|build| build.stage.is_followed()).cloned();
        let Some(build) = followed else { return Ok(None) };
        let there = self.client.index(&self.build_name(number)).await?;
        if there.is_none_or(|info| info.uuid != build.uuid) {
            warn!(index = self.unit.index, build = number, "the search server has lost the build");
            self.step(|state| Ok(state.end(number))).await?;
            return Ok(None);
        }
        let began = Instant::now();
        let check = self.check(number, &build, basis, stop).await?;
        self.count(&check);
        let row = self.row(&check, basis, began);
        if check.is_equal() {
            self.promote(number, &build, basis).await?;
        } else if check.not_checked.is_none() {
            self.differs(number, &build, &check, basis, stop).await?;
        } else if check.not_checked == Some(NotChecked::Behind) && build.stage == BuildStage::Following {
            info!(index = self.unit.index, build = number, "the build serves once its lanes have come to the table");
        }
        Ok(Some(row))
    }

    async fn promote(&self, number: u64, build: &Build, basis: &Basis) -> Result<(), IndexError> {
        let equal_at_us = now_us();
        failpoints::pass("index::before_promote");
        self.step(|state| {
            // Something may have been erased meanwhile, and this one have ended.
            let is_clean = state.builds.get(&number).is_some_and(|build| build.erasures >= basis.erasures);
            if is_clean { Ok(state.promote(number, equal_at_us)?) } else { Err(IndexError::Overtaken) }
        })
        .await?;
        failpoints::pass("index::after_promote");
        if build.stage == BuildStage::Following {
            info!(index = self.unit.index, build = number, "the build is equal to the table, and serves");
        }
        Ok(())
    }

    async fn differs(
        &self,
        number: u64,
        build: &Build,
        check: &IndexCheck,
        basis: &Basis,
        stop: &CancellationToken,
    ) -> Result<(), IndexError> {
        let IndexCheck { missing, extra, different, .. } = *check;
        let ids = check.first.iter().map(|one| one.id.as_str()).collect::<Vec<_>>().join(", ");
        error!(
            index = self.unit.index,
            build = number,
            missing,
            extra,
            different,
            ids,
            "the index is not what its table says; it is built anew"
        );
        if build.stage != BuildStage::Serving {
            self.step(|state| Ok(state.end(number))).await?;
            return Ok(());
        }
        if !basis.is_whole() {
            return Ok(());
        }
        let definition = &self.unit.definition;
        let is_still_needed = |state: &IndexState| {
            let serves = state.serving(definition).is_some_and(|(serving, _)| serving == number);
            serves && needed(state, definition, &basis.live, basis.erasures) == Needed::Nothing
        };
        // It is compared with the table at the next run.
        self.build(basis, Why::Different, is_still_needed, stop).await.map(drop)
    }

    fn count(&self, check: &IndexCheck) {
        let outcome = match check.not_checked {
            Some(why) => why.name(),
            None if check.is_equal() => "equal",
            None => "different",
        };
        counter!("braid_index_checks_total", "index" => self.unit.index.clone(), "outcome" => outcome).increment(1);
    }

    /// What is kept of a check.
    fn row(&self, check: &IndexCheck, basis: &Basis, began: Instant) -> Reconciliation {
        Reconciliation {
            metric: self.unit.index.clone(),
            definition: self.unit.definition.clone(),
            view_version: basis.table.version(),
            reconciled_at_us: now_us(),
            took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            offsets: 0,
            partitions: 0,
            ranges: Vec::new(),
            rows_read: check.rows,
            rows_added: 0,
            hours_recomputed: 0,
            comparable: check.not_checked.is_none(),
            reason: check.not_checked.map(|why| why.name().to_owned()),
            detail: check.not_checked.map(|why| why.to_string()),
            drift: None,
            stream_check: None,
            index_check: Some(check.clone()),
        }
    }
}
