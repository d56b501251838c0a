//! Keeps up with the pointer: what a process knows is no older than `versions.refresh`, as long as the store can be read.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use platform::settings::Settings;
use platform::shutdown::Shutdown;
use platform::task::Backoff;
use platform::telemetry::error_text;
use shared_logic::catalog::Catalog;
use shared_logic::version::DeployedVersions;
use tokio::sync::watch;
use tracing::{info, warn};

use super::{VersionStore, VersionsError};

/// The first wait of a process that starts while the store is away.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// The versions of a deployment, as a process knows them. Clones share what is known. What reads on ends with the last clone.
#[derive(Debug, Clone)]
pub struct FollowedVersions {
    known: watch::Receiver<Arc<DeployedVersions>>,
    /// Where newer ones come from; `None` if they are given.
    reader: Option<Arc<Reader>>,
    /// Keeps given ones from ending.
    _given: Option<Arc<watch::Sender<Arc<DeployedVersions>>>>,
}

/// The last time that the pointer was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PointerRead {
    /// When that succeeded last, microseconds since 1970; `None` of given versions.
    pub at_us: Option<i64>,
    /// Why a later try failed, if one did.
    pub error: Option<String>,
}

/// Reads the pointer and resolves it.
struct Reader {
    store: VersionStore,
    file: Catalog,
    /// What this process lays over all catalogs.
    alter: Box<dyn Fn(&mut Catalog) + Send + Sync>,
    last: Mutex<PointerRead>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("store", &self.store).finish_non_exhaustive()
    }
}

impl FollowedVersions {
    /// Reads the versions, and reads on every `versions.refresh`. `file` is the catalog file.
    ///
    /// # Errors
    /// If they cannot be read now. Later, what is known stays as long as that is so.
    pub async fn start(settings: &Settings, file: Catalog) -> Result<FollowedVersions, VersionsError> {
        FollowedVersions::altered(settings, file, |_| {}).await
    }

    /// The same as soon as the store can be read: a process may start while it is away. `None` if the shutdown is requested before.
    ///
    /// # Errors
    /// If the versions can be read and cannot be used.
    pub async fn start_waiting(
        settings: &Settings,
        file: &Catalog,
        shutdown: &Shutdown,
    ) -> Result<Option<FollowedVersions>, VersionsError> {
        let mut backoff = Backoff::new(FIRST_WAIT);
        loop {
            // A store that is away is asked for a long time.
            let started = tokio::select! {
                biased;
                () = shutdown.requested() => return Ok(None),
                started = FollowedVersions::start(settings, file.clone()) => started,
            };
            let wait = match started {
                Ok(versions) => return Ok(Some(versions)),
                Err(error @ VersionsError::Store(_)) => {
                    let wait = backoff.wait();
                    let (error, wait_ms) = (error_text(&error), wait.as_millis());
                    warn!(error, wait_ms, "cannot read which versions there are; waiting");
                    wait
                }
                Err(error) => return Err(error),
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = shutdown.requested() => return Ok(None),
            }
        }
    }

    /// The same of a process that lays something over the catalogs of all versions.
    ///
    /// # Errors
    /// As [`FollowedVersions::start`].
    pub async fn altered(
        settings: &Settings,
        file: Catalog,
        alter: impl Fn(&mut Catalog) + Send + Sync + 'static,
    ) -> Result<FollowedVersions, VersionsError> {
        let store = VersionStore::new(&settings.store, &file.deployment)?;
        let reader = Arc::new(Reader { store, file, alter: Box::new(alter), last: Mutex::default() });
        let versions = reader.deployed().await?;
        let (sender, known) = watch::channel(Arc::new(versions));
        tokio::spawn(read_on(Arc::clone(&reader), settings.versions.refresh.get(), sender));
        Ok(FollowedVersions { known, reader: Some(reader), _given: None })
    }

    /// Versions that stay as they are.
    pub fn fixed(versions: DeployedVersions) -> FollowedVersions {
        let (sender, versions) = FollowedVersions::given(versions);
        FollowedVersions { _given: Some(Arc::new(sender)), ..versions }
    }

    /// Versions that whoever has the sender replaces.
    pub fn given(versions: DeployedVersions) -> (watch::Sender<Arc<DeployedVersions>>, FollowedVersions) {
        let (sender, known) = watch::channel(Arc::new(versions));
        (sender, FollowedVersions { known, reader: None, _given: None })
    }

    /// The versions as they are known now.
    pub fn now(&self) -> Arc<DeployedVersions> {
        Arc::clone(&self.known.borrow())
    }

    /// Tells of each change. It ends with what it is of, so keep that.
    pub fn watch(&self) -> watch::Receiver<Arc<DeployedVersions>> {
        self.known.clone()
    }

    /// Waits until other versions are known than when this was last asked of this clone.
    pub async fn changed(&mut self) -> Arc<DeployedVersions> {
        if self.known.changed().await.is_err() {
            // Nothing tells of changes any more.
            std::future::pending::<()>().await;
        }
        Arc::clone(&self.known.borrow_and_update())
    }

    /// The versions as the store has them now, for a step that must not be taken for a version that is gone.
    ///
    /// # Errors
    /// [`VersionsError`].
    pub async fn asked_anew(&self) -> Result<Arc<DeployedVersions>, VersionsError> {
        let known = self.now();
        let Some(reader) = &self.reader else { return Ok(known) };
        Ok(reader.newer(known.number).await?.map_or(known, Arc::new))
    }

    /// The catalog file that this process was started with, as the first version has it; `None` of given versions.
    pub fn file(&self) -> Option<&Catalog> {
        self.reader.as_ref().map(|reader| &reader.file)
    }

    /// When the pointer was read last.
    pub fn read(&self) -> PointerRead {
        self.reader.as_ref().map(|reader| reader.lock().clone()).unwrap_or_default()
    }
}

impl Reader {
    async fn deployed(&self) -> Result<DeployedVersions, VersionsError> {
        let deployed = self.noted(self.store.deployed(&self.file).await)?;
        Ok(deployed.altered(&self.alter))
    }

    /// The newest versions, if they are newer than those of that number.
    async fn newer(&self, known: u64) -> Result<Option<DeployedVersions>, VersionsError> {
        let Some((number, pointer)) = self.noted(self.store.newer(known).await)? else { return Ok(None) };
        let resolved = self.noted(self.store.resolved(number, pointer, &self.file).await)?;
        Ok(Some(resolved.altered(&self.alter)))
    }

    /// Notes what became of a read.
    fn noted<T>(&self, read: Result<T, VersionsError>) -> Result<T, VersionsError> {
        let mut last = self.lock();
        match &read {
            Ok(_) => *last = PointerRead { at_us: Some(platform::clock::now_us()), error: None },
            Err(error) => last.error = Some(error_text(error)),
        }
        drop(last);
        read
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, PointerRead> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the pointer every so often until no one wants to know.
async fn read_on(reader: Arc<Reader>, every: Duration, sender: watch::Sender<Arc<DeployedVersions>>) {
    let mut failed = false;
    loop {
        tokio::select! {
            () = sender.closed() => return,
            () = tokio::time::sleep(every) => {}
        }
        let known = sender.borrow().number;
        match reader.newer(known).await {
            Ok(None) => failed = false,
            Ok(Some(versions)) => {
                failed = false;
                tell(&versions);
                sender.send_replace(Arc::new(versions));
            }
            Err(error) => {
                if !std::mem::replace(&mut failed, true) {
                    warn!(
                        error = error_text(&error),
                        "cannot read which versions there are; those that are known stay"
                    );
                }
            }
        }
    }
}

fn tell(versions: &DeployedVersions) {
    let (number, active, what) = (versions.number, versions.active_name(), &versions.pointer.change.what);
    info!(number, active, what, "the versions have changed");
    for (version, why) in versions.unreadable() {
        warn!(version, why, "the catalog of a version cannot be used; this process leaves that version out");
    }
}
