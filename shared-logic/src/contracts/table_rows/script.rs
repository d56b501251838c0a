//! The texts that scripts and their callers exchange.
//!
//! Numbers travel as text. Each script replies `{status, cursor, instance, basis, witness, filling}`: whether it is `done` or what is
//! there `differs`, and what is there now. A script that could not write all replies `{failed, why}`, and then nothing is there.

use super::{Held, Slot};
use crate::contracts::arguments::Arguments;
use crate::contracts::speed_view::Instance;
use crate::log::Witness;

/// The fields of a hash that are no rows, in the order in which [`slot`] takes them, and the format at last.
pub const HEAD: [&str; 6] = ["cursor", "instance", "basis", "witness", "filling", "format"];

/// What was read is not of this format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the rows are not of format {format} or are damaged: {what}; is another program or another version of Braid writing to this Redis? \
     The key can be deleted: a worker fills it again",
    format = super::FORMAT
)]
pub struct UnknownReply {
    /// What was read.
    pub what: String,
}

/// What a script answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It was done; this is there now.
    Done(Slot),
    /// Nothing changed; this is there.
    Differs(Slot),
    /// It could not write, for this reason, and nothing is there.
    Failed(String),
}

/// Reads a script's answer.
///
/// # Errors
/// If it is of another form.
pub fn reply(fields: &[String]) -> Result<Reply, UnknownReply> {
    match fields {
        [status, why] if status == "failed" => Ok(Reply::Failed(why.clone())),
        [status, head @ ..] => {
            let head: Vec<Option<&str>> = head.iter().map(|field| Some(field.as_str())).collect();
            let slot = slot(&head)?;
            match status.as_str() {
                "done" => Ok(Reply::Done(slot)),
                "differs" => Ok(Reply::Differs(slot)),
                _ => Err(unknown(&fields)),
            }
        }
        [] => Err(unknown(&fields)),
    }
}

/// Reads the fields of [`HEAD`] as Redis keeps them, without the format, or with it. A field that is not there is none, or empty.
///
/// # Errors
/// If they are of another format.
pub fn slot(fields: &[Option<&str>]) -> Result<Slot, UnknownReply> {
    let (head, format) = match fields {
        [head @ .., format] if fields.len() == HEAD.len() => (head, *format),
        head => (head, Some(super::FORMAT)),
    };
    let [cursor, instance, basis, witness, filling] = head else { return Err(unknown(&fields)) };
    let is_there = |field: &Option<&str>| field.is_some_and(|field| !field.is_empty());
    if [cursor, instance, basis, witness, filling].into_iter().all(|field| !is_there(field)) && format.is_none() {
        return Ok(Slot::Missing);
    }
    if format != Some(super::FORMAT) {
        return Err(unknown(&fields));
    }
    let text = |field: &Option<&str>| field.unwrap_or_default().to_owned();
    if is_there(cursor) {
        let held = || {
            Some(Held {
                cursor: text(cursor).parse().ok()?,
                instance: text(instance).parse().ok()?,
                basis: text(basis).parse().ok()?,
                witness: if is_there(witness) { Some(text(witness).parse::<Witness>().ok()?) } else { None },
            })
        };
        return held().map(Slot::Rows).ok_or_else(|| unknown(&fields));
    }
    if is_there(filling) {
        return text(filling).parse::<Instance>().map(Slot::Filling).map_err(|_| unknown(&fields));
    }
    Ok(Slot::Missing)
}

/// Rows as scripts take them: fields and their values, in arguments each of which Lua has room for.
pub fn rows<'a>(rows: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<Vec<u8>> {
    let mut arguments = Arguments::default();
    for (key, change) in rows {
        arguments.push(&super::field_of(key), change);
    }
    arguments.finish()
}

/// A witness as Redis keeps it; empty if there is none.
pub fn witness_text(witness: Option<Witness>) -> String {
    witness.map_or(String::new(), |witness| witness.to_string())
}

fn unknown(what: &impl std::fmt::Debug) -> UnknownReply {
    UnknownReply { what: format!("{what:?}").chars().take(200).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(fields: &[&str]) -> Vec<String> {
        fields.iter().map(|field| (*field).to_owned()).collect()
    }

    #[test]
    fn what_is_there_is_told_from_what_is_not() {
        let held = ["7", "00000000000000aa", "00000000000000bb.0", "", ""];
        let done = reply(&texts(&["done", held[0], held[1], held[2], held[3], held[4]]));
        let Ok(Reply::Done(Slot::Rows(rows))) = done else { panic!("{done:?}") };
        assert_eq!((rows.cursor, rows.instance, rows.witness), (7, Instance::new(0xaa), None));
        let filling = reply(&texts(&["differs", "", "", "", "", "00000000000000cc"]));
        assert_eq!(filling, Ok(Reply::Differs(Slot::Filling(Instance::new(0xcc)))));
        assert_eq!(reply(&texts(&["differs", "", "", "", "", ""])), Ok(Reply::Differs(Slot::Missing)));
        assert_eq!(reply(&texts(&["failed", "ERR no"])), Ok(Reply::Failed("ERR no".to_owned())));
        assert_eq!(slot(&[None; 6]), Ok(Slot::Missing));
    }

    #[test]
    fn other_formats_are_named() {
        assert!(reply(&texts(&["format", "9"])).is_err());
        let other = [Some("7"), Some("00000000000000aa"), Some("00000000000000bb.0"), None, None, Some("9")];
        assert!(slot(&other).is_err());
        assert!(slot(&[Some("7"), None, None, None, None, Some("1")]).is_err(), "rows without an instance");
        assert!(reply(&[]).is_err() && reply(&texts(&["done"])).is_err());
    }
}
