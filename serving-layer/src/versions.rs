//! The versions of the deployment that this process serves: all that live (K3).
//!
//! A request takes what is hosted once, and is answered by one version from start to end (K1). When the pointer changes, new versions are added
//! at once, and those that are gone go with their last request. A version that becomes the active one answers as soon as it can, and
//! until then, for a moment at most, the one before does.
//!
//! - `host`: what versions need of the process, and share;
//! - `version`: one version: its catalog, its snapshots and its speed view;
//! - `follow`: keeps up with the pointer.

mod follow;
mod host;
mod version;

use std::collections::BTreeMap;
use std::sync::Arc;

use shared_logic::version::DeployedVersions;
use tokio::sync::watch;

use crate::problem::Problem;

pub(crate) use host::Host;
pub(crate) use version::Version;

/// What is hosted now.
pub(crate) struct Versions {
    hosted: watch::Sender<Arc<Hosted>>,
}

/// What is hosted at one moment.
pub(crate) struct Hosted {
    /// What the pointer says of all versions.
    pub(crate) deployed: Arc<DeployedVersions>,
    active: Arc<Version>,
    by_name: BTreeMap<String, Arc<Version>>,
    /// The versions that live and cannot be served, each with the reason.
    failed: BTreeMap<String, String>,
}

impl Versions {
    /// Those that are hosted now. A request asks this once.
    pub(crate) fn hosted(&self) -> Arc<Hosted> {
        Arc::clone(&self.hosted.borrow())
    }

    /// Tells of each change.
    pub(crate) fn changes(&self) -> watch::Receiver<Arc<Hosted>> {
        self.hosted.subscribe()
    }
}

impl Hosted {
    /// The version that answers a request which names none.
    pub(crate) fn active(&self) -> &Arc<Version> {
        &self.active
    }

    /// The version of that name, or the active one.
    ///
    /// # Errors
    /// If there is none of that name, it is removed, or it cannot be served here.
    pub(crate) fn requested(&self, name: Option<&str>) -> Result<&Arc<Version>, Problem> {
        let Some(name) = name else { return Ok(&self.active) };
        if let Some(version) = self.by_name.get(name) {
            return Ok(version);
        }
        if let Some(why) = self.failure(name) {
            return Err(Problem::version_not_served(name, why));
        }
        match self.deployed.stage(name) {
            Some(stage) => Err(Problem::version_gone(name, stage.word())),
            None => Err(Problem::no_version(name, self.by_name.keys().cloned())),
        }
    }

    /// All that are served, by name.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Version>> {
        self.by_name.values()
    }

    /// A version that is served; `None` if there is none of that name.
    pub(crate) fn version(&self, name: &str) -> Option<&Arc<Version>> {
        self.by_name.get(name)
    }

    /// Why a version that lives is not served here.
    pub(crate) fn failure(&self, name: &str) -> Option<&str> {
        self.failed.get(name).or_else(|| self.deployed.unreadable().get(name)).map(String::as_str)
    }
}
