//! The texts that scripts and their callers exchange. Every change of a shard is one script, and atomic; the scripts
//! lie in the crate `storage`.
//!
//! Numbers travel as text. Each script but the one that reads replies `{status, cursor, slices, definitions, instance,
//! witnesses, truncated}`, where status is `done` or why nothing changed.
//!
//! A write may fail in the middle of a script, and Redis does not roll back. So while the apply script writes counters,
//! the shard has no cursor, which makes it a missing one: what was written half-way is never read, because a worker
//! that opens the shard again gives it another instance.

use super::shard::{Definitions, Refusal, Shard};
use crate::catalog::DefinitionHash;
use crate::log::Witness;

/// A reply that no script gives: the keys belong to another program, or have a newer format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "shard is not of format {format} or is damaged: {what}; is another program or another version of Braid writing to this \
     Redis? The key of a shard that an older version wrote can be deleted: a worker opens the shard again at the cut of the \
     batch views, without counters, and counts from there",
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

/// Reads a script's answer: `{status, cursor, slices, definitions, instance, witnesses, truncated}`.
///
/// # Errors
/// If it is of another form.
pub fn reply(fields: &[String]) -> Result<Reply, UnknownReply> {
    match fields {
        [status] if status == "missing" => Ok(Reply::Refused(Refusal::Missing)),
        [status, cursor, slices, definitions, instance, witnesses, truncated] => {
            let shard = shard(cursor, slices, definitions, instance, witnesses, truncated)?;
            match status.as_str() {
                "done" => Ok(Reply::Done(shard)),
                "differs" => Ok(Reply::Refused(Refusal::Differs(shard))),
                _ => Err(UnknownReply { what: format!("{fields:?}") }),
            }
        }
        _ => Err(UnknownReply { what: format!("{fields:?}") }),
    }
}

/// Redis's reason why a script could not write, if that is the reply: `{failed, why}`. What the script had written by
/// then is never read: the shard is missing or, if its first write failed, unchanged.
pub fn failure(fields: &[String]) -> Option<&str> {
    match fields {
        [status, why] if status == "failed" => Some(why),
        _ => None,
    }
}

/// Reads the reply of `read` without counters: `{cursor, slices, definitions, instance, as_of, witnesses, truncated, begin}`,
/// or nothing if there is no shard.
///
/// # Errors
/// If it is of another form.
pub fn positions(fields: &[String]) -> Result<Option<Shard>, UnknownReply> {
    match fields {
        [] => Ok(None),
        [cursor, slices, definitions, instance, _as_of, witnesses, truncated, _begin] => {
            shard(cursor, slices, definitions, instance, witnesses, truncated).map(Some)
        }
        _ => Err(UnknownReply { what: format!("{fields:?}") }),
    }
}

/// Reads a shard's positions as Redis keeps them. `witnesses` and `truncated` are empty where Redis has no such field.
///
/// # Errors
/// If a field is not of the form that the scripts write.
pub fn shard(
    cursor: &str,
    slices: &str,
    definitions: &str,
    instance: &str,
    witnesses: &str,
    truncated: &str,
) -> Result<Shard, UnknownReply> {
    let unknown = || UnknownReply {
        what: format!(
            "cursor {cursor:?}, slices {slices:?}, definitions {definitions:?}, instance {instance:?}, \
             witnesses {witnesses:?}, truncated {truncated:?}"
        ),
    };
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
    let cursor = cursor.parse().map_err(|_| unknown())?;
    let instance = instance.parse().map_err(|_| unknown())?;
    let witnesses = match witnesses {
        "" => vec![None; slices.len() + 1],
        list => list.split(',').map(witness).collect::<Option<_>>().ok_or_else(unknown)?,
    };
    let truncated = match truncated {
        "" => None,
        offset => Some(offset.parse().map_err(|_| unknown())?),
    };
    if witnesses.len() != slices.len() + 1 {
        return Err(unknown());
    }
    Ok(Shard { cursor, slices, definitions, instance, witnesses, truncated })
}

/// One entry of the list of witnesses; the outer `None`: it is not of the form that workers write.
fn witness(text: &str) -> Option<Option<Witness>> {
    if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
}

/// A witness as Redis keeps it; empty if there is none.
pub fn witness_text(witness: Option<Witness>) -> String {
    witness.map_or(String::new(), |witness| witness.to_string())
}

/// The witnesses of a shard as Redis keeps them: comma-separated, those of the slices' begins and at last the cursor's.
pub fn witnesses_text(shard: &Shard) -> String {
    shard.witnesses.iter().map(|witness| witness_text(*witness)).collect::<Vec<_>>().join(",")
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

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_write_that_failed_is_told_from_every_other_answer() {
        let failed = fields(&["failed", "ERR no"]);
        assert_eq!(failure(&failed), Some("ERR no"));
        assert!(reply(&failed).is_err(), "it is neither done nor refused");
        for other in [&["missing"][..], &["format", "2"], &["done", "1", "0", "", "00000000000000aa"]] {
            assert_eq!(failure(&fields(other)), None);
        }
    }

    #[test]
    fn a_shard_without_an_instance_is_none_of_ours() {
        let whole = fields(&["done", "7", "0,5", "", "00000000000000aa", "", "6"]);
        let Ok(Reply::Done(shard)) = reply(&whole) else { panic!("a known reply") };
        assert_eq!(
            (shard.cursor, shard.slices, shard.instance.to_string().as_str()),
            (7, vec![0, 5], "00000000000000aa")
        );
        assert_eq!((shard.witnesses, shard.truncated), (vec![None; 3], Some(6)));
        assert!(reply(&whole[..4]).is_err());
        assert!(reply(&fields(&["done", "7", "0,5", "", "aa", "", ""])).is_err());
        assert!(reply(&fields(&["done", "7", "0,5", "", "00000000000000aa", ",", ""])).is_err(), "too few witnesses");
    }
}
