//! Retires versions that are not needed any more (K9): those that stopped being the active one so long ago, and those whose retirement was
//! begun and not ended. One at a time, beside all jobs.

use metrics::counter;
use platform::settings::Settings;
use platform::task::joined;
use platform::telemetry::error_text;
use shared_logic::catalog::Catalog;
use shared_logic::version::DeployedVersions;
use storage::FollowedVersions;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::progress::Progress;
use crate::version::retire;

/// How long a retirement that failed is left until it is tried again, in microseconds.
const AGAIN_US: i64 = 60_000_000;
/// Who says so in the pointer.
const BY: &str = "schedule";

/// The retirement that is under way.
pub(crate) struct Retiring {
    /// The settings, and the catalog file; `None`: nothing is retired.
    of: Option<(Settings, Catalog)>,
    running: JoinSet<()>,
    /// Not before that moment, microseconds since 1970.
    not_before_us: i64,
    /// How many were begun: one that fails again and again does not keep the others.
    begun: usize,
}

impl Retiring {
    /// Nothing is retired yet.
    pub(crate) fn new(settings: &Settings, versions: &FollowedVersions) -> Retiring {
        let file = versions.file().cloned().unwrap_or_else(|| Catalog::clone(versions.now().active()));
        Retiring { of: Some((settings.clone(), file)), ..Retiring::none() }
    }

    /// Nothing is ever retired.
    pub(crate) fn none() -> Retiring {
        Retiring { of: None, running: JoinSet::new(), not_before_us: i64::MIN, begun: 0 }
    }

    /// Begins with a version that is due, unless another one is being retired.
    pub(super) fn begin(&mut self, versions: &DeployedVersions, now_us: i64, stop: CancellationToken) {
        let Some((settings, file)) = self.of.as_ref().filter(|_| self.running.is_empty()) else { return };
        if now_us < self.not_before_us {
            return;
        }
        let keep_us = i64::try_from(settings.versions.keep.get().as_micros()).unwrap_or(i64::MAX);
        let due = versions.pointer.due_to_retire(now_us, keep_us);
        let Some(version) = due.get(self.begun % due.len().max(1)).map(|name| (*name).to_owned()) else { return };
        self.begun += 1;
        self.not_before_us = now_us.saturating_add(AGAIN_US);
        let (settings, file) = (settings.clone(), file.clone());
        self.running.spawn(async move {
            info!(version, "retiring a version");
            let progress = Progress::default();
            let retired = retire(&settings, &file, &version, BY, &progress);
            tokio::select! {
                () = stop.cancelled() => {}
                retired = retired => if let Err(error) = retired {
                    counter!("braid_version_retire_failures_total").increment(1);
                    error!(version, error = error_text(&error), "cannot retire a version; trying again later");
                }
            }
        });
    }

    /// Waits until a retirement has ended; for ever if there is none.
    pub(super) async fn ended(&mut self) {
        match self.running.join_next().await {
            Some(ended) => joined(ended),
            None => std::future::pending().await,
        }
    }

    /// Waits until none is under way.
    pub(super) async fn finished(&mut self) {
        while let Some(ended) = self.running.join_next().await {
            joined(ended);
        }
    }
}
