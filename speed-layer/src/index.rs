//! Search indexes: the documents of a build, written as the log goes on (I1 to I3).
//!
//! The batch layer begins builds, from the rows of the materialised table, and says which of them serves (I4). Here each build that is
//! followed has a reader of its own: a consumer group, reading threads, and a *lane* for each assigned partition with a cursor in the
//! search server. So an index that is built anew slows down neither the one that serves nor the counting.
//!
//! In the order of the flow:
//!
//! - [`run`]: which builds of an index are followed, as its state says;
//! - `build`: one build, with its group and its lanes;
//! - `open`: finds the progress of a lane, and that the build is still what the state says;
//! - `crate::read` reads and decodes records;
//! - `changes`: the last change of each id in a micro-batch, as documents;
//! - `write`: one bulk, what became of each document, and the progress behind it;
//! - `pace`: how large the next bulk is, and how long to wait;
//! - `refused`: documents that the server refuses for good.

#![expect(clippy::todo, reason = "until B has filled the bodies")]

use platform::settings::Settings;
use shared_logic::version::IndexUnit;
use tokio_util::sync::CancellationToken;

use crate::error::SourceError;

/// Keeps one index of one definition until `stop`. What the search server does not do is tried again, and ends nothing.
///
/// # Errors
/// If Kafka's, the store's or the search server's settings are not usable.
pub async fn run(settings: &Settings, unit: &IndexUnit, stop: CancellationToken) -> Result<(), SourceError> {
    todo!("B: {} {unit:?} {}", settings.search.url, stop.is_cancelled())
}
