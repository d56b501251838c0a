//! A cluster of DataFusion Ballista, which computes a query of SQL over files of tables: what is counted anew of a day, or the rows of a
//! view merged over a period.
//!
//! The program that speaks to it is `braid-cluster`, which has a workspace of its own (`cluster/`), so that no other program contains
//! DataFusion. It is run once for each attempt, gets the query on its standard input, and gives the result back on its standard output.
//! The result is kept on local disk until it is whole, so nothing of an attempt that fails is ever seen; then it is read a piece at a time.
//! Neither the program nor an executor writes to a table: that is left to whoever asks.
//!
//! - `query`: what is asked;
//! - `program`: one attempt, by a process;
//! - `answer`: the result, in pieces;
//! - `error`: what failed.

mod answer;
mod error;
mod program;
mod query;

use std::time::Duration;

use metrics::counter;
use platform::settings::{self, Engine, Settings};
use platform::task::Backoff;
use platform::telemetry::error_text;
use shared_logic::catalog::PLAN_VERSION;
use tokio::time::Instant;
use tracing::warn;

use self::program::Program;
use self::query::Request;

pub(crate) use self::answer::Answer;
pub use self::error::ClusterError;
pub(crate) use self::query::{Query, TableFiles};

/// The wait after a first attempt that failed; doubled each time. A scheduler that starts again takes a few seconds.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The cluster that the settings name. Nothing is asked yet.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    /// Where the scheduler listens, `host:port`.
    scheduler: String,
    settings: settings::Cluster,
    /// Where the tables lie.
    store: settings::Store,
}

impl Cluster {
    /// `None` if the process counts everything itself.
    pub(crate) fn of(settings: &Settings) -> Option<Cluster> {
        let Engine::Ballista { scheduler } = &settings.reconcile.engine else { return None };
        let (settings, store) = (settings.cluster.clone(), settings.store.clone());
        Some(Cluster { scheduler: scheduler.clone(), settings, store })
    }

    /// Whether so many rows are enough for a query to be worth it.
    pub(crate) fn is_worth(&self, rows: u64) -> bool {
        rows >= self.settings.rows_min
    }

    /// Asks, again where an attempt fails that may succeed later, a bounded number of times and for a bounded time. What is returned is the
    /// whole result of one attempt.
    ///
    /// # Errors
    /// The last failure.
    pub(crate) async fn ask(&self, query: &Query) -> Result<Answer, ClusterError> {
        let (program, timeout) = (Program::of(&self.settings.program, &self.store), self.settings.timeout.get());
        let request = Request { scheduler: &self.scheduler, plan_version: PLAN_VERSION, query }.to_json();
        let (deadline, mut backoff, mut attempt) = (Instant::now() + timeout, Backoff::new(FIRST_WAIT), 0);
        loop {
            attempt += 1;
            let asked = tokio::time::timeout_at(deadline, program.ask(&query.name, &request)).await;
            let late = || ClusterError::Late { query: query.name.clone(), timeout };
            let failed = match asked.unwrap_or_else(|_| Err(late())) {
                Ok(answer) => {
                    count("answered");
                    return Ok(answer);
                }
                Err(failed) => failed,
            };
            count("failed");
            let again = Instant::now() + backoff.wait();
            // Later than that, it would only be late.
            if attempt >= self.settings.attempts || !failed.may_pass() || again >= deadline {
                return Err(failed);
            }
            warn!(query = query.name, attempt, error = error_text(&failed), "the cluster did not answer; asking again");
            tokio::time::sleep_until(again).await;
        }
    }
}

fn count(outcome: &'static str) {
    counter!("braid_cluster_queries_total", "outcome" => outcome).increment(1);
}

#[cfg(test)]
mod tests;
