//! The search server that scenarios run on, asked as any program of its owner would, and what may befall requests on their way to it.
//!
//! - [`shared`]: the server of all scenarios that do it no harm;
//! - [`Plain`]: plain HTTP to a server, with no code of the platform;
//! - [`Proxy`]: what stands between the layers and the server, and loses replies or lets nothing through.

mod plain;
mod proxy;

use anyhow::{Context, Result};
use test_kit::{DEADLINE, Progress, Search, wait_for};
use tokio::sync::OnceCell;

pub use plain::{Document, Plain};
pub use proxy::{Arrived, Proxy, Writes};

use crate::shared_folder::shared_folder;

/// The server's address. All scenarios of a test binary share it, and the first that asks starts it; the indexes of each have names of
/// their own. `None`: it cannot be had; then the scenario, which has no meaning without one, was named in a notice.
pub async fn shared(scenario: &str) -> Result<Option<String>> {
    static SHARED: OnceCell<Option<Search>> = OnceCell::const_new();
    let started = SHARED.get_or_try_init(async || {
        let folder = shared_folder("shared-search-")?;
        Search::start_in(scenario, &folder, &[]).await.context("the shared search server")
    });
    match started.await? {
        None => Ok(None),
        Some(server) => {
            let url = server.url();
            answers(&url).await?;
            Ok(Some(url))
        }
    }
}

/// Waits until a server that was started again has everything at hand.
pub async fn answers(url: &str) -> Result<()> {
    let plain = Plain::new(url);
    wait_for("the search server to answer", DEADLINE, async || {
        let answer = plain.get("/_cluster/health").await;
        let is_up = answer.as_ref().is_ok_and(|(status, health)| *status == 200 && health["status"] != "red");
        Ok(Progress::when(is_up, format_args!("{answer:?}")))
    })
    .await
}
