//! Asks the search server until it answers (I3).

use std::time::Instant;

use metrics::counter;
use platform::task::Backoff;
use platform::telemetry::error_text;
use storage::SearchError;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::error::{Interrupted, Logged};
use super::shared::Shared;

/// Asks until the server answers, or it is to stop. While the server is away, has too much to do or refuses the credentials, it is waited
/// for: nothing is left out.
///
/// # Errors
/// What the server says otherwise, or that it is to stop.
pub(super) async fn answered<T, F>(
    shared: &Shared,
    stop: &CancellationToken,
    ask: impl Fn() -> F,
) -> Result<T, Interrupted>
where
    F: Future<Output = Result<T, SearchError>>,
{
    let mut backoff = Backoff::new(shared.client.settings().retry_backoff.get());
    let mut logged = Logged::default();
    loop {
        let answer = tokio::select! {
            answer = ask() => answer,
            () = stop.cancelled() => return Err(Interrupted::Stopped),
        };
        let index = shared.index.as_str();
        match answer {
            Err(refused @ SearchError::NotAllowed { .. }) => {
                if logged.is_due("not allowed", Instant::now()) {
                    error!(index, error = error_text(&refused), "an index waits, as nothing can be written");
                }
            }
            Err(busy) if busy.is_back_pressure() => {
                counter!("braid_index_back_pressure_total", "index" => shared.index.clone()).increment(1);
                if logged.is_due("busy", Instant::now()) {
                    warn!(index, error = error_text(&busy), "an index waits for the search server");
                }
            }
            answer => return Ok(answer?),
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.wait()) => {}
            () = stop.cancelled() => return Err(Interrupted::Stopped),
        }
    }
}
