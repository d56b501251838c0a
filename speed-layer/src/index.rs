//! Search indexes: the documents of a build, written as the log goes on (I1 to I3).
//!
//! The batch layer begins builds, from the rows of the materialised table, and says which of them serves (I4). Here each build that is
//! followed has a reader of its own: a consumer group, reading threads, and a *lane* for each assigned partition with a cursor in the
//! search server. So an index that is built anew slows down neither the one that serves nor the counting.
//!
//! In the order of the flow:
//!
//! - [`run`]: asks which builds of an index are followed, and keeps a reader for each (`followed`);
//! - `build`: one build, with its group and its lanes;
//! - `open`: finds the progress of a lane, and that the build is still what the state says;
//! - `crate::read` reads and decodes records;
//! - `changes`: the last change of each id in a micro-batch, as documents;
//! - `write`: writes them, and puts the progress behind them;
//! - `refused`: what follows of documents that the server refuses for good.
//!
//! `alone` says for how long a lane may rely on no other worker being ahead of it. `ask` waits for the server, `shared` is what the
//! lanes of one build share, and `error` says why a lane does not write. How large requests are, and how long is waited between them,
//! decides [`SearchClient::write_all`].

mod alone;
mod ask;
mod build;
mod changes;
mod error;
mod followed;
mod open;
mod refused;
mod shared;
mod write;

use std::time::{Duration, Instant};

use platform::settings::Settings;
use platform::task::joined;
use platform::telemetry::error_text;
use shared_logic::version::IndexUnit;
use storage::{SearchClient, SearchError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use self::error::Logged;
use self::followed::Followed;
use crate::error::SourceError;

/// How often it is asked which builds are followed.
const EVERY: Duration = Duration::from_secs(1);

/// Keeps one index of one definition until `stop`. What the search server does not do is tried again, and ends nothing: as long as it
/// does not answer, the builds that were followed go on being followed.
///
/// # Errors
/// If Kafka's, the store's or the search server's settings are not usable.
pub async fn run(settings: &Settings, unit: &IndexUnit, stop: CancellationToken) -> Result<(), SourceError> {
    let client = SearchClient::new(&settings.search, &unit.catalog.deployment)?.ok_or(SearchError::NotNamed)?;
    let stop = stop.child_token();
    let (mut followed, mut running) = (Followed::default(), JoinSet::new());
    let (mut outcome, mut logged) = (Ok(()), Logged::default());
    while !stop.is_cancelled() && outcome.is_ok() {
        let asked = tokio::select! {
            asked = client.state(&unit.index) => asked,
            () = stop.cancelled() => break,
        };
        match asked {
            Ok(stored) => {
                let wanted = stored.state.followed(&unit.definition).map(|(number, build)| (number, build.clone()));
                for (number, build, stop) in followed.towards(wanted.collect(), &stop) {
                    let (settings, client, unit) = (settings.clone(), client.clone(), unit.clone());
                    running.spawn(async move {
                        let ended = build::run(&settings, client, &unit, (number, build), stop).await;
                        (number, ended)
                    });
                }
            }
            Err(error) if logged.is_due("state", Instant::now()) => {
                let index = unit.index.as_str();
                warn!(index, error = error_text(&error), "cannot ask which builds of an index there are; trying again");
            }
            Err(_) => {}
        }
        tokio::select! {
            Some(ended) = running.join_next() => {
                let (number, ended) = joined(ended);
                followed.ended(number);
                outcome = ended;
            }
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
    stop.cancel();
    while let Some(ended) = running.join_next().await {
        outcome = outcome.and(joined(ended).1);
    }
    outcome
}
