//! Which archives are written, and by whose catalog: a process has one archiver for each, whatever versions there are (K2).
//!
//! An archive gets another owner where another version becomes the active one. Its archiver ends then, with a commit, before the next one
//! begins. Two may write at once, as processes do not hear of it at the same time: then they are two archivers of one archive like others,
//! members of one group.

use std::collections::BTreeMap;

use platform::settings::Settings;
use platform::task::{Backoff, blocking, joined};
use platform::telemetry::error_text;
use shared_logic::contracts::archive::group;
use shared_logic::version::ArchiveUnit;
use storage::{FollowedVersions, Storage};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::session::Archiver;
use super::{ArchiveError, SessionError};

/// The archivers that run: by archive, the owner and what stops it.
type Running = BTreeMap<String, (String, CancellationToken)>;

/// Runs an archiver for each archive that there is, until `stop`.
///
/// # Errors
/// The first failure of an archiver of the active version; the others are stopped.
pub(super) async fn supervise(
    settings: &Settings,
    mut versions: FollowedVersions,
    stop: &CancellationToken,
) -> Result<(), ArchiveError> {
    let (mut archivers, mut running, mut outcome) = (JoinSet::new(), Running::new(), Ok(()));
    loop {
        if !stop.is_cancelled() {
            let units = versions.now().archived();
            for (owner, ends) in superseded(&running, &units) {
                info!(owner, "an archiver ends, as the archive has another owner or none");
                ends.cancel();
            }
            for unit in missing(&running, units) {
                let ends = stop.child_token();
                running.insert(unit.archive.clone(), (unit.owner.clone(), ends.clone()));
                archivers.spawn(keep_archiving(settings.clone(), unit, versions.clone(), ends));
            }
        }
        tokio::select! {
            biased;
            ended = archivers.join_next() => match ended.map(joined) {
                Some((archive, ended)) => {
                    running.remove(&archive);
                    if let Err(error) = &ended {
                        error!(error = error_text(error), "an archiver ended");
                        stop.cancel();
                    }
                    outcome = outcome.and(ended);
                }
                None if stop.is_cancelled() => return outcome,
                // There are no archives. There may be some later.
                None => wait(&mut versions, stop).await,
            },
            _ = versions.changed(), if !stop.is_cancelled() => {}
        }
    }
}

async fn wait(versions: &mut FollowedVersions, stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        _ = versions.changed() => {}
    }
}

/// The archivers that run and are no unit any more, by their owners.
fn superseded<'a>(running: &'a Running, units: &[ArchiveUnit]) -> Vec<(&'a str, &'a CancellationToken)> {
    let is_unit = |archive: &str, owner: &str| units.iter().any(|unit| unit.key() == (archive, owner));
    let gone = running.iter().filter(|(archive, (owner, ends))| !ends.is_cancelled() && !is_unit(archive, owner));
    gone.map(|(_, (owner, ends))| (owner.as_str(), ends)).collect()
}

/// The units whose archive nothing writes now.
fn missing(running: &Running, units: Vec<ArchiveUnit>) -> Vec<ArchiveUnit> {
    units.into_iter().filter(|unit| !running.contains_key(&unit.archive)).collect()
}

/// Writes one archive until it is stopped. What is wrong with one that the active version does not write is tried again: it must not take
/// the others with it. Returns the name of the archive.
async fn keep_archiving(
    settings: Settings,
    unit: ArchiveUnit,
    versions: FollowedVersions,
    stop: CancellationToken,
) -> (String, Result<(), ArchiveError>) {
    let mut backoff = Backoff::new(settings.archive.retry_backoff.get());
    loop {
        let ended = archive(&settings, &unit, &stop).await;
        let Err(source) = ended else { return (unit.archive, Ok(())) };
        if stop.is_cancelled() || versions.now().active_name() == unit.owner {
            let name = unit.source.clone();
            return (unit.archive, Err(ArchiveError::Source { name, source }));
        }
        let (archive, version) = (&unit.archive, &unit.owner);
        error!(archive, version, error = error_text(&source), "cannot archive for a version; trying again");
        tokio::select! {
            () = stop.cancelled() => return (unit.archive, Ok(())),
            () = tokio::time::sleep(backoff.wait()) => {}
        }
    }
}

/// Archives until it is stopped. Reading blocks, so each archiver has a thread of its own.
async fn archive(settings: &Settings, unit: &ArchiveUnit, stop: &CancellationToken) -> Result<(), SessionError> {
    let storage = Storage::new(&settings.store, &unit.catalog.deployment)?;
    let source = unit.catalog.sources[&unit.source].clone();
    let group = group(&unit.catalog.deployment.name, &unit.archive);
    let (settings, runtime, stop) = (settings.clone(), Handle::current(), stop.clone());
    blocking(move || Archiver::start(runtime, &settings, &storage, source, group, stop).and_then(Archiver::run)).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use shared_logic::catalog::Catalog;

    use super::*;

    fn unit(archive: &str, owner: &str) -> ArchiveUnit {
        let catalog = Arc::new(
            Catalog::parse("[sources.s]\nevent_time = \"at\"\n[sources.s.fields]\nat = \"timestamp\"\n")
                .expect("valid"),
        );
        ArchiveUnit { archive: archive.to_owned(), source: "s".to_owned(), owner: owner.to_owned(), catalog }
    }

    #[test]
    fn an_archive_is_written_by_one_owner_after_the_other() {
        let mut running = Running::new();
        running.insert("s".to_owned(), ("v1".to_owned(), CancellationToken::new()));
        let units = [unit("s", "v2"), unit("s.v2", "v2")];
        let names = |running: &Running| {
            superseded(running, &units).iter().map(|(owner, _)| (*owner).to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&running), ["v1"]);
        let begun = |running: &Running| {
            missing(running, units.to_vec()).into_iter().map(|unit| unit.archive).collect::<Vec<_>>()
        };
        assert_eq!(begun(&running), ["s.v2"], "the archiver of v1 has not ended yet");
        running["s"].1.cancel();
        assert_eq!(names(&running), [""; 0], "it is told once");
        running.remove("s");
        assert_eq!(begun(&running), ["s", "s.v2"]);
    }
}
