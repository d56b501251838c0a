//! `braid index retry`: what the server had refused is sent again, in its version.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use platform::clock::now_us;
use shared_logic::contracts::index::{REFUSED_MAX, Refused, build_name};
use shared_logic::index::SENT_WITHIN_S;
use storage::{BulkItem, Pace, SearchClient, Written};
use tokio_util::sync::CancellationToken;

use super::Indexes;
use crate::number::integer;
use crate::terminal::printable;

/// How many documents are sent at a time.
const AT_ONCE: usize = 500;
/// How many documents that are refused again are named.
const NAMED: usize = 10;

/// Sends the documents again that the search server had refused, after what it says of them was mended
///
/// Each is sent in its version, so what was written of its id since stays. The exit code is 1 if some are refused again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid index retry users")]
pub(super) struct Args {
    /// The index, as the active version has it
    #[arg(value_name = "INDEX")]
    index: String,
}

/// Runs the command.
pub(super) async fn run(args: Args, indexes: &Indexes) -> Result<ExitCode> {
    let unit = indexes.active(&args.index)?;
    let client = &indexes.client;
    let state = client.state(&unit.index).await?.state;
    let (mut taken, mut left) = (0, 0);
    for (number, _) in state.followed(&unit.definition) {
        let asked = Instant::now();
        let (refused, _) = client.refused(&unit.index, number, REFUSED_MAX + 1).await?;
        let again = retry(client, &unit.index, number, &refused, too_old_at(asked)).await?;
        for Refused { id, reason, .. } in again.iter().take(NAMED) {
            println!("{}: {}", printable(id), printable(reason));
        }
        left += again.len() as u64;
        taken += (refused.len() - again.len()) as u64;
    }
    println!("{} documents were taken, {} were refused again", integer(taken), integer(left));
    Ok(if left == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Until when what was read at a moment is sent. Later, the server may have forgotten what was deleted since: one that is started again
/// remembers only what it had not flushed.
fn too_old_at(asked: Instant) -> Instant {
    asked + Duration::from_secs(SENT_WITHIN_S)
}

/// Sends these documents of a build again, until that moment. Returns those that are refused again.
async fn retry(
    client: &SearchClient,
    index: &str,
    number: u64,
    refused: &[Refused],
    too_old_at: Instant,
) -> Result<Vec<Refused>> {
    let (name, stop) = (build_name(client.deployment(), index, number), CancellationToken::new());
    let mut pace = Pace::new(client.settings().max_bulk.as_usize());
    // One that was too large to be kept is not there to be sent.
    let (sendable, mut left): (Vec<Refused>, Vec<Refused>) =
        refused.iter().cloned().partition(|refused| !refused.document.is_empty());
    for some in sendable.chunks(AT_ONCE) {
        let items: Vec<BulkItem> = some.iter().map(item).collect();
        let written = client.write_all(&name, &items, &mut pace, too_old_at, &stop).await?;
        let (again, taken) = divided(some, written);
        client.keep_refused(index, number, &again).await?;
        client.forget_refused(index, number, &taken).await?;
        left.extend(again);
    }
    Ok(left)
}

fn item(refused: &Refused) -> BulkItem {
    let Refused { id, version, document, .. } = refused;
    BulkItem { id: id.clone(), version: *version, document: Some(document.clone().into_bytes()) }
}

/// Those that are refused again, with what the server says now, and the others with their versions.
fn divided(sent: &[Refused], written: Written) -> (Vec<Refused>, Vec<(String, u64)>) {
    let at_us = now_us();
    let is_refused = |at: usize| written.refused.iter().any(|(refused, _)| *refused == at);
    let taken = sent.iter().enumerate().filter(|(at, _)| !is_refused(*at));
    let taken = taken.map(|(_, one)| (one.id.clone(), one.version)).collect();
    let again =
        written.refused.iter().map(|(at, reason)| Refused { reason: reason.clone(), at_us, ..sent[*at].clone() });
    (again.collect(), taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_sent_that_was_read_longer_ago_than_a_lane_would_send_it() {
        let asked = Instant::now();
        let most = too_old_at(asked).duration_since(asked);
        assert!(most <= Duration::from_secs(300), "a server that was started again has forgotten deletes: {most:?}");
    }

    #[test]
    fn what_is_refused_again_stays_with_its_new_reason_and_the_rest_is_forgotten() {
        let refused = |id: &str, version| Refused {
            id: id.to_owned(),
            log: "log".to_owned(),
            partition: 0,
            offset: 4,
            version,
            document: "{}".to_owned(),
            reason: "before".to_owned(),
            at_us: 0,
        };
        let sent = [refused("a", 5), refused("b", 0), refused("c", 9)];
        let written = Written { newer: 1, refused: vec![(1, "now".to_owned())] };
        let (again, taken) = divided(&sent, written);
        assert_eq!(again.iter().map(|one| (one.id.as_str(), one.reason.as_str())).collect::<Vec<_>>(), [("b", "now")]);
        assert_eq!(taken, [("a".to_owned(), 5), ("c".to_owned(), 9)]);
    }
}
