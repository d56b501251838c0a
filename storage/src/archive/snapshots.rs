//! Snapshots of lanes (T2), beside the archive of the source that they read.
//!
//! Pieces are written first and the manifest last, each only where nothing is yet. A process that is killed in between leaves
//! pieces that no manifest names; they are removed with the snapshots that are over. A snapshot that is torn in any way is
//! skipped, since the one before it or the log says the same.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use platform::failpoints;
use platform::store::{FileBeside, StoreError};
use shared_logic::catalog::Deployment;
use shared_logic::contracts::stream::{
    CHECKED, CheckedStreams, Definitions, Manifest, PUBLISHED, PieceNote, checked_path, lanes_folder, manifest_path,
    piece_path, published_path, spared_path,
};
use shared_logic::log::PartitionId;
use shared_logic::stream::{Fronts, Piece};
use tracing::warn;

use super::Archive;

/// How many of a lane's snapshots are kept.
const KEPT: usize = 2;
/// Younger pieces may belong to a snapshot whose manifest is not written yet.
const PIECE_AGE: Duration = Duration::from_hours(1);
/// For how long snapshots are kept that no lane of the newest catalog opens: workers of an older catalog may still run, or be started
/// again to go back.
pub const SUPERSEDED_AGE: Duration = Duration::from_hours(7 * 24);
/// The folder of all snapshots. Delta's own tools leave folders with such a name alone.
pub(super) const FOLDER: &str = "_lanes";
/// The folder of the notes that say which progress topic a generation has.
const BEGUN: &str = "_lanes/begun/";

/// What a lane remembered at a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The first offset that it does not include.
    pub cursor: i64,
    /// The fronts before that offset.
    pub fronts: Fronts,
    /// Its pieces.
    pub pieces: Vec<Piece>,
}

impl Archive {
    /// T7: notes which progress topic the lanes of a generation begin with, and returns the one that was noted first. A progress topic
    /// with another id has lost what was published.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn lanes_begin(&self, generation: &str, progress: &str) -> Result<String, StoreError> {
        let path = begun_path(generation);
        self.table().put_beside_if_absent(&path, &progress).await?;
        let noted = self.table().beside::<String>(&path).await?;
        Ok(noted.unwrap_or_else(|| progress.to_owned()))
    }

    /// T7: the progress topic that the lanes of a generation began with; `None` if they never began.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn lanes_begun(&self, generation: &str) -> Result<Option<String>, StoreError> {
        self.table().beside(&begun_path(generation)).await
    }

    /// T7: notes another progress topic in place of a lost one, once its positions have been set from what is archived.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn lanes_continue(&self, generation: &str, progress: &str) -> Result<(), StoreError> {
        self.table().put_beside(&begun_path(generation), &progress).await
    }

    /// Keeps a snapshot of a partition's lane. To write it again changes nothing. Returns false, and keeps nothing, if a piece that it
    /// shares with a kept one is not kept any more.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn keep_snapshot(
        &self,
        id: &PartitionId,
        definitions: &Definitions,
        snapshot: &Snapshot,
    ) -> Result<bool, StoreError> {
        let folder = lanes_folder(definitions, id);
        let mut notes = Vec::with_capacity(snapshot.pieces.len());
        let mut kept = None;
        for piece in &snapshot.pieces {
            let note = match &piece.bytes {
                Some(bytes) => {
                    let note = PieceNote::of(&piece.name, bytes);
                    self.table().put_bytes_beside_if_absent(&piece_path(&folder, &note), bytes.clone()).await?;
                    note
                }
                None => {
                    if kept.is_none() {
                        kept = Some(self.kept_pieces(&folder).await?);
                    }
                    match kept.as_ref().and_then(|kept| kept.get(&piece.name)) {
                        Some(note) => note.clone(),
                        None => return Ok(false),
                    }
                }
            };
            notes.push(note);
        }
        failpoints::pass("streams::between_pieces_and_manifest");
        let manifest = Manifest {
            log: id.log.clone(),
            partition: id.partition,
            cursor: snapshot.cursor,
            fronts: snapshot.fronts.clone(),
            definitions: definitions.clone(),
            pieces: notes,
        };
        self.table().put_beside_if_absent(&manifest_path(&folder, snapshot.cursor), &manifest).await?;
        Ok(true)
    }

    /// The pieces that manifests of a partition's lane name, by their names.
    async fn kept_pieces(&self, folder: &str) -> Result<BTreeMap<String, PieceNote>, StoreError> {
        let mut kept = BTreeMap::new();
        for path in manifests(self.table().list_beside(folder).await?).values() {
            let text = self.table().bytes_beside(path).await?.unwrap_or_default();
            if let Ok(manifest) = serde_json::from_slice::<Manifest>(&text) {
                kept.extend(manifest.pieces.into_iter().map(|note| (note.name.clone(), note)));
            }
        }
        Ok(kept)
    }

    /// The newest whole snapshot of a partition's lane whose cursor is at most `at_most` (T6); `None` if there is none.
    ///
    /// # Errors
    /// If the store cannot be listed or read.
    pub async fn newest_snapshot(
        &self,
        id: &PartitionId,
        definitions: &Definitions,
        at_most: i64,
    ) -> Result<Option<Snapshot>, StoreError> {
        let folder = lanes_folder(definitions, id);
        let manifests = manifests(self.table().list_beside(&folder).await?);
        for (cursor, path) in manifests.range(..=at_most).rev() {
            match self.whole_snapshot(&folder, path).await? {
                Some((manifest, pieces))
                    if manifest.cursor == *cursor
                        && manifest.definitions == *definitions
                        && (manifest.log == id.log && manifest.partition == id.partition) =>
                {
                    return Ok(Some(Snapshot { cursor: *cursor, fronts: manifest.fronts, pieces }));
                }
                _ => warn!(%id, cursor, "a snapshot is not whole; using an older one"),
            }
        }
        Ok(None)
    }

    /// The manifest at that path with its pieces; `None` if anything is missing or is not what it was.
    async fn whole_snapshot(&self, folder: &str, path: &str) -> Result<Option<(Manifest, Vec<Piece>)>, StoreError> {
        let Some(text) = self.table().bytes_beside(path).await? else { return Ok(None) };
        let Ok(manifest) = serde_json::from_slice::<Manifest>(&text) else { return Ok(None) };
        let mut pieces = Vec::with_capacity(manifest.pieces.len());
        for note in &manifest.pieces {
            match self.table().bytes_beside(&piece_path(folder, note)).await? {
                Some(bytes) if note.fits(&bytes) => {
                    pieces.push(Piece { name: note.name.clone(), bytes: Some(bytes.to_vec()) });
                }
                _ => return Ok(None),
            }
        }
        Ok(Some((manifest, pieces)))
    }

    /// T7: notes that a generation's lane of a partition has published. To note it again changes nothing.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn note_published(&self, generation: &str, id: &PartitionId) -> Result<(), StoreError> {
        self.table().put_beside_if_absent(&published_path(generation, id), &true).await?;
        Ok(())
    }

    /// T7: whether something says that a lane of a partition has published: it has noted so or, if it is of the deployment's first generation,
    /// has kept a snapshot under these definitions. Builds before there were versions kept no such note, and those of another generation
    /// always did. `lanes` is the deployment as its lanes know it, whose version is their generation.
    ///
    /// # Errors
    /// If the store cannot be listed or read.
    pub async fn has_published(
        &self,
        lanes: &Deployment,
        definitions: &Definitions,
        id: &PartitionId,
    ) -> Result<bool, StoreError> {
        let is_noted = self.table().bytes_beside(&published_path(&lanes.version, id)).await?.is_some();
        if is_noted || lanes.version != lanes.first {
            return Ok(is_noted);
        }
        Ok(!self.table().list_beside(&lanes_folder(definitions, id)).await?.is_empty())
    }

    /// Has [`Archive::remove_snapshots`] spare the snapshot at that cursor, in place of the one that it has spared so far: the next
    /// check goes on from it, however much later that is.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn spare_snapshot(
        &self,
        id: &PartitionId,
        definitions: &Definitions,
        cursor: i64,
    ) -> Result<(), StoreError> {
        self.table().put_beside(&spared_path(&lanes_folder(definitions, id)), &cursor).await
    }

    /// How far the streams of a generation were checked; `None` if they never were, or that is not known any more.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn checked_streams(&self, generation: &str) -> Result<Option<CheckedStreams>, StoreError> {
        let text = self.table().bytes_beside(&checked_path(generation)).await?;
        Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
    }

    /// Notes how far the streams of a generation were checked.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn note_checked_streams(&self, generation: &str, checked: &CheckedStreams) -> Result<(), StoreError> {
        self.table().put_beside(&checked_path(generation), checked).await
    }

    /// Removes the snapshots of a partition's lane but the two newest ones at or below `published` (T6), those above it, and the one
    /// that is spared for the next check; and pieces that no manifest names.
    ///
    /// # Errors
    /// If the store cannot be listed or written.
    pub async fn remove_snapshots(
        &self,
        id: &PartitionId,
        definitions: &Definitions,
        published: i64,
    ) -> Result<usize, StoreError> {
        let folder = lanes_folder(definitions, id);
        let manifests = manifests(self.table().list_beside(&folder).await?);
        let spared: Option<i64> = self.table().beside(&spared_path(&folder)).await?;
        let older = manifests.range(..=published).rev().skip(KEPT);
        let over: HashSet<&String> =
            older.filter(|(cursor, _)| spared != Some(**cursor)).map(|(_, path)| path).collect();
        let mut named = HashSet::new();
        for path in manifests.values().filter(|path| !over.contains(path)) {
            let text = self.table().bytes_beside(path).await?.unwrap_or_default();
            if let Ok(manifest) = serde_json::from_slice::<Manifest>(&text) {
                named.extend(manifest.pieces.iter().map(|note| piece_path(&folder, note)));
            }
        }
        // A manifest goes before its pieces, so what is named is whole.
        let removed =
            self.table().remove_beside(&folder, |path| over.contains(&path.to_owned()), Duration::ZERO).await?;
        let is_piece = |path: &str| path.ends_with(".bin") && !named.contains(path);
        Ok(removed + self.table().remove_beside(&folder, is_piece, PIECE_AGE).await?)
    }

    /// Removes files of snapshots of a partition's lane that were written longer than `age` ago under definitions that are not `in_use`,
    /// usually [`SUPERSEDED_AGE`]: the streams have changed since, and no lane opens them. In use are those of whoever asks, those that
    /// were published by last, which may be another worker's of an older catalog, and those of other generations (K8). Should a worker look
    /// for one all the same, it reads the past again.
    ///
    /// # Errors
    /// If the store cannot be listed or written.
    pub async fn remove_superseded_snapshots(
        &self,
        id: &PartitionId,
        in_use: &[&Definitions],
        age: Duration,
    ) -> Result<usize, StoreError> {
        let in_use: Vec<String> =
            in_use.iter().map(|definitions| format!("{}/", lanes_folder(definitions, id))).collect();
        let of_lane = format!("/{}/{}/", id.log, id.partition);
        let is_over =
            |path: &str| path.contains(&of_lane) && !in_use.iter().any(|folder| path.starts_with(folder.as_str()));
        self.table().remove_beside(FOLDER, is_over, age).await
    }

    /// Removes every snapshot, whoever's: they may hold what was erased. A lane without one is warmed from the log. How far streams were
    /// checked, and that they were published, stays noted.
    ///
    /// # Errors
    /// If the store cannot be listed or written.
    pub async fn remove_all_snapshots(&self) -> Result<usize, StoreError> {
        let is_note = |path: &str| [BEGUN, CHECKED, PUBLISHED].iter().any(|folder| path.starts_with(folder));
        let is_state = |path: &str| !is_note(path);
        self.table().remove_beside(FOLDER, is_state, Duration::ZERO).await
    }

    /// All files of snapshots.
    ///
    /// # Errors
    /// If the store cannot be listed.
    pub async fn snapshot_files(&self) -> Result<Vec<FileBeside>, StoreError> {
        self.table().files_beside(FOLDER).await
    }
}

fn begun_path(generation: &str) -> String {
    format!("{BEGUN}{generation}.json")
}

/// The manifests among files, by their cursors.
fn manifests(paths: Vec<String>) -> BTreeMap<i64, String> {
    let cursor = |path: &str| path.rsplit('/').next()?.strip_suffix(".json")?.parse().ok();
    paths.into_iter().filter_map(|path| Some((cursor(&path)?, path))).collect()
}
