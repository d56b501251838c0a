//! The archive as everybody but the archiver sees it: at one version, and now and then with something to say about its facts.

use platform::store::{Commit, Committed, Store, Table};
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::{self, DAY, FACTS_DOMAIN, Facts};

/// How often a change of facts that met the archiver's commit is tried again.
const ATTEMPTS: u32 = 20;

/// The archive of one source at one version, and its facts at that version.
pub(crate) struct Archive {
    pub(crate) table: Table,
    pub(crate) facts: Facts,
}

impl Archive {
    /// Opens it; `None` if nothing was ever archived.
    pub(crate) async fn open(store: &Store, source: &Source) -> anyhow::Result<Option<Archive>> {
        let Some(table) = store.open(&archive::path(&source.name)).await? else { return Ok(None) };
        let facts: Option<Facts> = table.note(FACTS_DOMAIN).await?;
        Ok(facts.map(|facts| Archive { table, facts }))
    }

    /// Looks for newer commits.
    pub(crate) async fn refresh(&mut self) -> anyhow::Result<()> {
        if self.table.refresh().await? {
            self.facts = self.table.note(FACTS_DOMAIN).await?.unwrap_or_default();
        }
        Ok(())
    }

    /// Changes the newest facts in a commit of their own, and gives what `change` gives. Where that changes nothing, there is
    /// no commit. `operation` is a word for the table's log.
    ///
    /// # Errors
    /// If the archive cannot be read or written, or others committed first again and again.
    pub(crate) async fn change<T>(
        &mut self,
        operation: &'static str,
        change: impl Fn(&mut Facts) -> T,
    ) -> anyhow::Result<T> {
        for _ in 0..ATTEMPTS {
            let mut facts = self.facts.clone();
            let given = change(&mut facts);
            if facts == self.facts {
                return Ok(given);
            }
            let commit = Commit::new(operation, DAY, platform::clock::now_us()).note(FACTS_DOMAIN, &facts);
            if self.table.commit(commit).await? != Committed::Conflict {
                self.facts = facts;
                return Ok(given);
            }
            self.refresh().await?;
        }
        anyhow::bail!("the archiver committed first {ATTEMPTS} times; try again")
    }
}
