//! Keeps up with the pointer: hosts every version that lives, and lets those go that do not any more.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use platform::store::StoreError;
use platform::task;
use platform::telemetry::error_text;
use shared_logic::version::DeployedVersions;
use tokio::sync::watch;
use tracing::{info, warn};

use super::host::Host;
use super::version::Version;
use super::{Hosted, Versions};

/// How long the version before goes on to answer, if the one that became active has not read all that it needs.
const READY_WITHIN: Duration = Duration::from_secs(5);
/// How often it is looked whether the last request of a version has ended that is gone.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Host {
    /// Hosts the versions that there are at the start.
    ///
    /// # Errors
    /// If the active one cannot be hosted.
    pub(crate) fn versions(&self, deployed: Arc<DeployedVersions>) -> Result<Versions, StoreError> {
        let active = Arc::new(Version::new(deployed.active(), self)?);
        let known = BTreeMap::from([(active.version_name().to_owned(), Arc::clone(&active))]);
        let hosted = self.hosted(deployed, active, &known);
        self.disk.keep_only(tables(&hosted).iter().map(String::as_str));
        count_pointer(&hosted);
        Ok(Versions { hosted: watch::Sender::new(Arc::new(hosted)) })
    }

    /// Hosts what `pointer` tells of from now on, until nobody tells any more.
    pub(crate) async fn follow(&self, versions: &Versions, mut pointer: watch::Receiver<Arc<DeployedVersions>>) {
        let mut gone: Vec<Weak<Version>> = Vec::new();
        loop {
            tokio::select! {
                changed = pointer.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(LOOK_EVERY), if !gone.is_empty() => {}
            }
            let deployed = Arc::clone(&pointer.borrow_and_update());
            if !Arc::ptr_eq(&deployed, &versions.hosted().deployed) {
                gone.extend(self.take(versions, deployed).await);
            }
            if !gone.is_empty() && gone.iter().all(|version| version.strong_count() == 0) {
                self.remove_segments(versions).await;
                gone.clear();
            }
        }
    }

    /// Hosts these versions; gives those that are not among them any more.
    async fn take(&self, versions: &Versions, deployed: Arc<DeployedVersions>) -> Vec<Weak<Version>> {
        let before = versions.hosted();
        let hosted = self.hosted(Arc::clone(&deployed), Arc::clone(&before.active), &before.by_name);
        let (by_name, failed) = (hosted.by_name.clone(), hosted.failed.clone());
        let active = by_name.get(deployed.active_name()).map_or_else(|| Arc::clone(&before.active), Arc::clone);
        // New versions are there at once, whatever becomes of the active one.
        versions.hosted.send_replace(Arc::new(hosted));
        if !Arc::ptr_eq(&active, &before.active) {
            let ready = active.snapshots.whole(&active.catalog);
            if tokio::time::timeout(READY_WITHIN, ready).await.is_err() {
                warn!(
                    version = active.version_name(),
                    "the version that became active answers before everything of it is loaded"
                );
            }
            info!(version = active.version_name(), pointer = deployed.number, "another version answers");
            versions.hosted.send_replace(Arc::new(Hosted { deployed, active, by_name, failed }));
        }
        let now = versions.hosted();
        count_pointer(&now);
        let is_gone = |version: &&Arc<Version>| !now.by_name.values().any(|hosted| Arc::ptr_eq(hosted, version));
        before.by_name.values().filter(is_gone).map(Arc::downgrade).collect()
    }

    /// All versions that live, and that one as the one that answers. Those that are `known` stay as they are.
    fn hosted(
        &self,
        deployed: Arc<DeployedVersions>,
        active: Arc<Version>,
        known: &BTreeMap<String, Arc<Version>>,
    ) -> Hosted {
        let (mut by_name, mut failed) = (BTreeMap::new(), BTreeMap::new());
        for (name, catalog) in deployed.living() {
            let same = known.get(name).filter(|known| known.catalog == *catalog);
            match same.map_or_else(|| Version::new(catalog, self).map(Arc::new), |same| Ok(Arc::clone(same))) {
                Ok(version) => drop(by_name.insert(name.to_owned(), version)),
                Err(error) => drop(failed.insert(name.to_owned(), error_text(&error))),
            }
        }
        Hosted { deployed, active, by_name, failed }
    }

    /// Removes the segments of views that no version has which is hosted.
    async fn remove_segments(&self, versions: &Versions) {
        let (disk, tables) = (Arc::clone(&self.disk), tables(&versions.hosted()));
        task::blocking(move || disk.keep_only(tables.iter().map(String::as_str))).await;
    }
}

/// Which pointer this process follows, as telemetry.
fn count_pointer(hosted: &Hosted) {
    metrics::gauge!("braid_serving_pointer").set(hosted.deployed.number as f64);
}

/// The tables of all views that are served.
fn tables(hosted: &Hosted) -> Vec<String> {
    let all = hosted.by_name.values().chain([&hosted.active]);
    all.flat_map(|version| version.snapshots.tables().iter().cloned()).collect()
}
