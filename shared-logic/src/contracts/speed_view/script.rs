//! The texts that scripts and their callers exchange. Every change of a shard is one script, and atomic; the scripts lie in
//! the crate `storage`.
//!
//! Numbers travel as text. Each script but the one that reads replies `{status, cursor, slices, definitions}`, where status
//! is `done` or why nothing changed.

use super::shard::{Definitions, Refusal, Shard};
use crate::catalog::DefinitionHash;

/// A reply that no script gives: the keys belong to another program, or have a newer format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "shard is not of format {format} or is damaged: {what}; is another program or another version of Braid writing to this \
     Redis? What an older version wrote can be deleted: the next reconcile brings back what it counted",
    format = super::FORMAT
)]
pub struct UnknownReply {
    /// What was read.
    pub what: String,
}

/// What a script answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It was done; the shard is now like this.
    Done(Shard),
    /// Nothing changed.
    Refused(Refusal),
}

/// Reads a script's answer: `{status, cursor, slices, definitions}`.
///
/// # Errors
/// If it is of another form.
pub fn reply(fields: &[String]) -> Result<Reply, UnknownReply> {
    match fields {
        [status] if status == "missing" => Ok(Reply::Refused(Refusal::Missing)),
        [status, cursor, slices, definitions] => {
            let shard = shard(cursor, slices, definitions)?;
            match status.as_str() {
                "done" => Ok(Reply::Done(shard)),
                "differs" => Ok(Reply::Refused(Refusal::Differs(shard))),
                _ => Err(UnknownReply { what: format!("{fields:?}") }),
            }
        }
        _ => Err(UnknownReply { what: format!("{fields:?}") }),
    }
}

/// Reads the reply of `read` without counters: `{cursor, slices, definitions, as_of}`, or nothing if there is no shard.
///
/// # Errors
/// If it is of another form.
pub fn positions(fields: &[String]) -> Result<Option<Shard>, UnknownReply> {
    match fields {
        [] => Ok(None),
        [cursor, slices, definitions, _as_of] => shard(cursor, slices, definitions).map(Some),
        _ => Err(UnknownReply { what: format!("{fields:?}") }),
    }
}

/// Reads a shard's positions as Redis keeps them.
///
/// # Errors
/// If a field is not of the form that the scripts write.
pub fn shard(cursor: &str, slices: &str, definitions: &str) -> Result<Shard, UnknownReply> {
    let unknown =
        || UnknownReply { what: format!("cursor {cursor:?}, slices {slices:?}, definitions {definitions:?}") };
    let slices: Vec<i64> = slices.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|_| unknown())?;
    let definitions = definitions
        .split(',')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (hash, since) = pair.split_once('=')?;
            Some((hash.parse().ok()?, since.parse().ok()?))
        })
        .collect::<Option<Definitions>>()
        .ok_or_else(unknown)?;
    Ok(Shard { cursor: cursor.parse().map_err(|_| unknown())?, slices, definitions })
}

/// Definitions as Redis keeps them: `hash=since`, comma-separated, by hash.
pub fn definitions_text(definitions: &Definitions) -> String {
    definitions.iter().map(|(hash, since)| format!("{}={since}", hash.as_str())).collect::<Vec<_>>().join(",")
}

/// Definition hashes as the scripts take them: comma-separated, ascending, each once.
pub fn hashes_text(hashes: &[DefinitionHash]) -> String {
    let mut hashes: Vec<&str> = hashes.iter().map(DefinitionHash::as_str).collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes.join(",")
}
