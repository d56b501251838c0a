//! The archive: every record that arrived, once, with what it became or why it became nothing.
//!
//! One archiver per source reads all partitions from the offsets that the archive itself names. It works in sessions: a
//! session takes the newest facts, closes logs that ended, begins partitions that are new, notes what was lost, and then
//! reads and commits until anything differs from what it knows — another writer, another log, more partitions — and a new
//! session looks again. Before a commit it asks whether the topic is still the log that was read (R7).
//!
//! - `consume`: a session;
//! - `buffer`: records → rows of the archive;
//! - `commit`: rows and facts in one commit;
//! - `compact`: many small files of a day into one, now and then;
//! - `snapshot`: the archive as others read it.

pub(crate) mod buffer;
mod commit;
mod compact;
mod consume;
mod snapshot;

use anyhow::Context;
use platform::settings::Settings;
use platform::shutdown::Shutdown;
use platform::store::{Store, StoreError, Table};
use shared_logic::catalog::{Catalog, Source};
use shared_logic::contracts::archive;
use tokio::task::JoinSet;

pub(crate) use snapshot::Archive;

/// Opens a source's archive, created where missing.
pub(crate) async fn table(store: &Store, source: &Source) -> Result<Table, StoreError> {
    store.open_or_create(&archive::path(&source.name), &buffer::schema(source), archive::DAY).await
}

/// Archives every source until the shutdown is requested; what is buffered then is committed. Topics are there: see
/// [`init`](crate::init).
///
/// # Errors
/// If the settings are not usable, or an archive is not one that Braid wrote.
pub async fn run(settings: &Settings, catalog: &Catalog, shutdown: Shutdown) -> anyhow::Result<()> {
    let stop = shutdown.token().child_token();
    let mut archivers = JoinSet::new();
    for source in catalog.sources.values() {
        let store = Store::new(&settings.store, &catalog.deployment.name)?;
        let (settings, source, stop) = (settings.clone(), source.clone(), stop.clone());
        let runtime = tokio::runtime::Handle::current();
        // Reading blocks, so each archiver has a thread of its own.
        archivers.spawn_blocking(move || {
            let name = source.name.clone();
            consume::run(&runtime, &settings, &store, source, &stop).with_context(|| format!("archive of {name}"))
        });
    }
    let all = async {
        let mut outcome = Ok(());
        while let Some(ended) = archivers.join_next().await {
            let ended = ended.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()));
            if ended.is_err() {
                stop.cancel();
            }
            outcome = outcome.and(ended);
        }
        outcome
    };
    platform::shutdown::run_until(&shutdown, "archivers", settings.archive.shutdown.get(), all).await?
}
