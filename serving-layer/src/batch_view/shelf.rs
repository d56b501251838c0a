//! The segments of one view on disk: those that are in use, those that an earlier process has left, and those that a load which
//! failed had already built.

use std::collections::{BTreeMap, HashSet};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use platform::task;
use platform::telemetry::error_text;
use shared_logic::measure::MeasureKind;
use tokio::sync::OnceCell;
use tracing::{info, warn};

use super::disk::{Disk, SEGMENT, UNFINISHED, is_own};
use super::segment::{BlockCache, Cursor, Origin, Period, Segment, SegmentError, SegmentWriter, merge};

/// The segments of one view on disk.
pub(super) struct Shelf {
    folder: PathBuf,
    kinds: Arc<[MeasureKind]>,
    cache: Arc<BlockCache>,
    segments: Mutex<BTreeMap<Period, Vec<Arc<Segment>>>>,
    /// Set once the folder was searched.
    searched: OnceCell<()>,
    /// Numbers files, so that no name is used twice.
    next: AtomicU64,
    built: AtomicU64,
}

impl Shelf {
    /// The shelf of a table with these measures. The folder is not searched yet.
    pub(super) fn new(disk: &Disk, table: &str, kinds: Arc<[MeasureKind]>) -> Shelf {
        Shelf {
            folder: disk.folder_of(table),
            kinds,
            cache: Arc::clone(&disk.cache),
            segments: Mutex::default(),
            searched: OnceCell::new(),
            next: AtomicU64::new(0),
            built: AtomicU64::new(0),
        }
    }

    /// Finds what an earlier process has left, the first time that it is called.
    ///
    /// # Errors
    /// If the folder cannot be created or read.
    pub(super) async fn search(self: &Arc<Self>) -> Result<(), SegmentError> {
        let search = || {
            let shelf = Arc::clone(self);
            task::blocking(move || shelf.open_all())
        };
        self.searched.get_or_try_init(search).await?;
        Ok(())
    }

    /// The segment that was made from exactly this.
    pub(super) fn find(&self, origin: &Origin) -> Option<Arc<Segment>> {
        self.like(origin).into_iter().find(|segment| segment.origin() == origin)
    }

    /// The segments of the same period, table and definition, as far as they can be read.
    pub(super) fn like(&self, origin: &Origin) -> Vec<Arc<Segment>> {
        let segments = self.lock();
        let of_period = segments.get(&origin.period).into_iter().flatten();
        of_period.filter(|segment| segment.origin().is_like(origin) && !segment.is_damaged()).cloned().collect()
    }

    /// Merges what the cursors read into a segment of that origin.
    ///
    /// # Errors
    /// If a cursor cannot read, or the segment cannot be written.
    pub(super) fn build(&self, cursors: Vec<Cursor>, origin: Origin) -> Result<Arc<Segment>, SegmentError> {
        let path = self.folder.join(format!("{}.{}.{SEGMENT}", origin.period, self.number()));
        let mut writer = SegmentWriter::create(self.unfinished(), Arc::clone(&self.kinds))?;
        merge(cursors, &self.kinds, &mut |key, slot, values| writer.push(key, slot, values))?;
        writer.finish(origin, &path)?;
        let segment = Segment::open(&path, &self.kinds, &self.cache)?;
        self.built.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("braid_serving_segments_built_total").increment(1);
        segment.map(|segment| self.put(segment)).ok_or(SegmentError::Damaged { path })
    }

    /// How many segments were built by this process.
    pub(super) fn built(&self) -> u64 {
        self.built.load(Ordering::Relaxed)
    }

    /// Lets all other segments go. The file of each is removed when no view uses it any more.
    pub(super) fn keep_only<'a>(&self, used: impl Iterator<Item = &'a Arc<Segment>>) {
        let used: HashSet<u64> = used.map(|segment| segment.number()).collect();
        self.lock().retain(|_, segments| {
            segments.retain(|segment| {
                let is_used = used.contains(&segment.number());
                if !is_used {
                    segment.retire();
                }
                is_used
            });
            !segments.is_empty()
        });
    }

    /// A file without a name, which goes when it is closed.
    ///
    /// # Errors
    /// If it cannot be created.
    pub(super) fn scratch(&self) -> Result<File, SegmentError> {
        let path = self.unfinished();
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        let file = file.map_err(SegmentError::disk("create", &path))?;
        std::fs::remove_file(&path).map_err(SegmentError::disk("unlink", &path))?;
        Ok(file)
    }

    /// The measures of the view.
    pub(super) fn kinds(&self) -> &Arc<[MeasureKind]> {
        &self.kinds
    }

    fn open_all(&self) -> Result<(), SegmentError> {
        let failed = |operation| SegmentError::disk(operation, &self.folder);
        std::fs::create_dir_all(&self.folder).map_err(failed("create"))?;
        let mut found = 0;
        for entry in std::fs::read_dir(&self.folder).map_err(failed("list"))? {
            let path = entry.map_err(failed("list"))?.path();
            if !path.extension().is_some_and(is_own) {
                continue;
            }
            self.next.fetch_max(number_of(&path) + 1, Ordering::Relaxed);
            match self.open(&path) {
                Some(segment) => {
                    self.put(segment);
                    found += 1;
                }
                None => std::fs::remove_file(&path).map_err(SegmentError::disk("remove", &path))?,
            }
        }
        info!(folder = %self.folder.display(), found, "looked for segments of an earlier process");
        Ok(())
    }

    /// Opens a file that was found; `None` if it cannot be used.
    fn open(&self, path: &Path) -> Option<Segment> {
        if path.extension().is_some_and(|ending| ending == UNFINISHED) {
            return None;
        }
        match Segment::open(path, &self.kinds, &self.cache) {
            Ok(Some(segment)) => Some(segment),
            Ok(None) => {
                warn!(path = %path.display(), "not a whole segment of this version; it is removed, and built again if it is needed");
                None
            }
            Err(error) => {
                warn!(error = error_text(&error), "a segment is removed, and built again if it is needed");
                None
            }
        }
    }

    fn put(&self, segment: Segment) -> Arc<Segment> {
        let segment = Arc::new(segment);
        self.lock().entry(segment.origin().period).or_default().push(Arc::clone(&segment));
        segment
    }

    fn unfinished(&self) -> PathBuf {
        self.folder.join(format!("{}.{UNFINISHED}", self.number()))
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Period, Vec<Arc<Segment>>>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number in a file's name, before its ending.
fn number_of(path: &Path) -> u64 {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    stem.rsplit('.').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}
