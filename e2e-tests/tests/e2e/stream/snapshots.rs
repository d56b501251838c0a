//! Snapshots of lanes are deleted, torn, changed, or of other definitions, while the speed layer is down: it goes on exactly, from an
//! older one or from the log.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use e2e_tests::{Layer, busy_scenario};
use serde_json::Value;
use test_kit::{DEADLINE, Process, Progress, wait_for};

use super::payments::{Mix, Payments};

const SOME: usize = 500;
/// The sources that lanes read.
pub(super) const SOURCES: [&str; 2] = ["payments", "by_country"];
/// What a lane prints that has found no snapshot.
const WARMS: &str = "no snapshot; reading the past that matters";

/// What befalls the snapshots of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Deleted,
    /// Every file ends in its middle.
    Torn,
    /// A byte of every piece is another one.
    Changed,
    /// Manifests name another definition.
    OfOthers,
    /// The newest manifest is torn, and the one before is whole.
    NewestTorn,
}

/// The faults, each of which befalls the lanes of one partition.
const FAULTS: [Fault; 5] = [Fault::Deleted, Fault::Torn, Fault::Changed, Fault::OfOthers, Fault::NewestTorn];

#[test]
fn streams_snapshots_lost() {
    busy_scenario("streams_snapshots_lost", async |scenario| {
        let partitions = i32::try_from(FAULTS.len())?;
        let Some(mut payments) = Payments::start(scenario, partitions, Mix::Usual).await? else { return Ok(()) };
        payments.send(SOME)?;
        let store = payments.stage.deployment.store();
        wait_for("two snapshots of every lane", DEADLINE, async || {
            // A lane takes none before there is something new.
            payments.send(1)?;
            let least = least_snapshots(&store, partitions)?;
            Ok(Progress::when(least >= 2, format_args!("{least} of some lane")))
        })
        .await?;
        // Then both are of what is published.
        payments.are_written().await.context("before the faults")?;
        payments.are_published().await?;
        payments.stage.deployment.kill(Layer::Speed);
        // Some of it lies beyond what the last snapshot includes.
        payments.send(SOME)?;
        for source in SOURCES {
            for (partition, files) in lanes(&store, source)? {
                befalls(FAULTS[usize::try_from(partition)?], &files)?;
            }
        }
        let process = payments.stage.deployment.start(Layer::Speed).await?;
        payments.are_written().await.context("after the faults")?;
        let warmed = warmed(&process)?;
        for (partition, fault) in (0..).zip(FAULTS) {
            let lanes = warmed.get(&partition).copied().unwrap_or_default();
            match fault {
                Fault::NewestTorn => ensure!(lanes == 0, "the older snapshot was not used"),
                _ => ensure!(lanes >= SOURCES.len(), "a snapshot was used in spite of {fault:?}: {warmed:?}"),
            }
        }
        payments.send(SOME)?;
        payments.end_exactly().await
    });
}

/// How often a lane of each partition has said that it found no snapshot.
pub(super) fn warmed(process: &Process) -> Result<BTreeMap<i32, usize>> {
    let mut warmed = BTreeMap::new();
    for line in process.output()?.lines().filter(|line| line.contains(WARMS)) {
        let id = line.split_whitespace().find_map(|word| word.strip_prefix("id="));
        let (_, partition) = id.and_then(|id| id.rsplit_once('/')).with_context(|| format!("no lane in {line:?}"))?;
        *warmed.entry(partition.parse()?).or_default() += 1;
    }
    Ok(warmed)
}

/// How many snapshots the lane has that has fewest.
pub(super) fn least_snapshots(store: &Path, partitions: i32) -> Result<usize> {
    let mut least = usize::MAX;
    for source in SOURCES {
        let lanes = lanes(store, source)?;
        for partition in 0..partitions {
            let files = lanes.get(&partition).map(Vec::as_slice).unwrap_or_default();
            least = least.min(files.iter().filter(|path| cursor(path).is_some()).count());
        }
    }
    Ok(least)
}

/// The files of the snapshots of a source's lanes, by partition. Their folders are named by that; those of notes are not.
pub(super) fn lanes(store: &Path, source: &str) -> Result<BTreeMap<i32, Vec<PathBuf>>> {
    let mut lanes: BTreeMap<i32, Vec<PathBuf>> = BTreeMap::new();
    for path in files(store, source)? {
        let folder = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        if let Some(partition) = folder.and_then(|folder| folder.parse().ok()) {
            lanes.entry(partition).or_default().push(path);
        }
    }
    Ok(lanes)
}

fn befalls(fault: Fault, files: &[PathBuf]) -> Result<()> {
    let is_manifest = |path: &Path| cursor(path).is_some();
    ensure!(files.iter().any(|path| is_manifest(path)), "there is no snapshot: {files:?}");
    for path in files {
        match fault {
            Fault::Deleted => fs::remove_file(path)?,
            Fault::Torn => tear(path)?,
            Fault::Changed if !is_manifest(path) => {
                let mut bytes = fs::read(path)?;
                if let Some(last) = bytes.last_mut() {
                    *last ^= 1;
                }
                fs::write(path, bytes)?;
            }
            Fault::OfOthers if is_manifest(path) => {
                let mut manifest: Value = serde_json::from_slice(&fs::read(path)?)?;
                let definitions = manifest["definitions"].as_object_mut().context("a manifest without definitions")?;
                definitions.values_mut().for_each(|definition| *definition = "0123456789abcdef".into());
                fs::write(path, manifest.to_string())?;
            }
            Fault::NewestTorn if is_newest(path, files) => tear(path)?,
            Fault::Changed | Fault::OfOthers | Fault::NewestTorn => {}
        }
    }
    Ok(())
}

fn tear(path: &Path) -> Result<()> {
    let bytes = fs::read(path)?;
    Ok(fs::write(path, &bytes[..bytes.len() / 2])?)
}

/// Whether it is the newest manifest of its lane. Their names sort as cursors do.
fn is_newest(path: &Path, files: &[PathBuf]) -> bool {
    let of_lane = files.iter().filter(|file| file.parent() == path.parent() && cursor(file).is_some());
    cursor(path).is_some() && of_lane.max().map(PathBuf::as_path) == Some(path)
}

/// The greatest cursor of the snapshots of a source's lanes.
pub(super) fn newest_cursor(store: &Path, source: &str) -> Result<Option<i64>> {
    Ok(files(store, source)?.iter().filter_map(|path| cursor(path)).max())
}

/// The cursor of a manifest, which is its name.
pub(super) fn cursor(path: &Path) -> Option<i64> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(".json")?.parse().ok()
}

/// All files that a source's lanes have left beside its archive.
fn files(store: &Path, source: &str) -> Result<Vec<PathBuf>> {
    let folder = store.join("archive").join(source).join("_lanes");
    let mut files = Vec::new();
    if folder.is_dir() {
        push_files(&folder, &mut files)?;
    }
    Ok(files)
}

fn push_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            push_files(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
