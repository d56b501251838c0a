//! What was written to a shard while somebody read its counters in steps.
//!
//! Slices are too large to be read at once, and the newest one changes while it is read. So a reader asks for a note of what changes
//! meanwhile. Each apply then notes where it began and ended, and the fields that it wrote, with what they hold since. Values are noted
//! whole, not by how much they have grown, so whatever a step has read of a field, its last change says what it holds in the end.
//!
//! A note is some items of a list: its head `<from>,<to>,<instance>`, and for each argument of the apply script the name of the counters
//! and the argument itself. Heads hold commas, and names hold none.

use super::Instance;
use super::script::UnknownReply;
use crate::catalog::DefinitionHash;

/// Reads notes one item after the other, and keeps those that lead from one cursor to another.
#[derive(Debug)]
pub struct Changes {
    instance: Instance,
    /// Counters have these names, if they are of that definition.
    definition: DefinitionHash,
    /// Up to where the notes lead so far.
    reached: i64,
    /// Where they have to lead.
    to: i64,
    is_broken: bool,
    /// Whether the note that is read belongs to the way.
    counts: bool,
    /// The slice of the argument that comes next, if it is wanted.
    slice: Option<i64>,
    /// Whether the next item is an argument.
    is_argument: bool,
}

/// Fields that an apply has written to a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The begin of the slice.
    pub slice: i64,
    /// The names of the fields, and what they hold since.
    pub fields: Vec<(String, Vec<u8>)>,
}

impl Changes {
    /// The notes of what that definition's counters became from one cursor of the shard's instance to the other.
    pub fn between(instance: Instance, definition: &DefinitionHash, from: i64, to: i64) -> Changes {
        Changes {
            instance,
            definition: definition.clone(),
            reached: from,
            to,
            is_broken: false,
            counts: false,
            slice: None,
            is_argument: false,
        }
    }

    /// Whether the notes lead all the way. Where they do not, some changes were not noted.
    pub fn are_whole(&self) -> bool {
        !self.is_broken && self.reached == self.to
    }

    /// Takes the next item of the list; gives the fields that it says, if they are wanted.
    ///
    /// # Errors
    /// If it is not of the form that the script writes.
    pub fn take(&mut self, item: &[u8]) -> Result<Option<Change>, UnknownReply> {
        if std::mem::take(&mut self.is_argument) {
            let Some(slice) = self.slice.take() else { return Ok(None) };
            let fields = fields(item).ok_or_else(|| strange(item))?;
            return Ok(Some(Change { slice, fields }));
        }
        let text = std::str::from_utf8(item).map_err(|_| strange(item))?;
        if text.contains(',') {
            let head = head(text).ok_or_else(|| strange(item))?;
            self.enter(head);
        } else {
            let (slice, definition) = name(text).ok_or_else(|| strange(item))?;
            self.slice = (self.counts && definition == self.definition.as_str()).then_some(slice);
            self.is_argument = true;
        }
        Ok(None)
    }

    /// Judges a note by its head. What ended before is of no interest, nor what began later.
    fn enter(&mut self, (from, to, instance): (i64, i64, Instance)) {
        let is_between = instance == self.instance && to > self.reached && from < self.to;
        self.counts = is_between && from == self.reached && to <= self.to;
        if self.counts {
            self.reached = to;
        } else if is_between {
            self.is_broken = true;
        }
    }
}

fn head(text: &str) -> Option<(i64, i64, Instance)> {
    let mut parts = text.split(',');
    let (from, to, instance) = (parts.next()?, parts.next()?, parts.next()?);
    let head = (from.parse().ok()?, to.parse().ok()?, instance.parse().ok()?);
    parts.next().is_none().then_some(head)
}

/// The slice and the definition in the name of counters, `<instance>:<slice begin>:<definition>`.
fn name(text: &str) -> Option<(i64, &str)> {
    let mut parts = text.split(':');
    let (_instance, slice, definition) = (parts.next()?, parts.next()?, parts.next()?);
    Some((slice.parse().ok()?, definition)).filter(|_| parts.next().is_none())
}

/// The fields of an argument, which are MessagePack texts `field value field …`.
fn fields(mut argument: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut fields = Vec::new();
    while !argument.is_empty() {
        let name = String::from_utf8(text(&mut argument)?.to_vec()).ok()?;
        fields.push((name, text(&mut argument)?.to_vec()));
    }
    Some(fields)
}

fn text<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = rmp::decode::read_str_len(from).ok()?;
    let (text, rest) = from.split_at_checked(length as usize)?;
    *from = rest;
    Some(text)
}

fn strange(item: &[u8]) -> UnknownReply {
    let what = String::from_utf8_lossy(&item[..item.len().min(100)]).into_owned();
    UnknownReply { what: format!("a note of a change {what:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts::arguments::Arguments;

    const OWN: &str = "0000000000000001:7:00000000000000aa";

    fn definition() -> DefinitionHash {
        "00000000000000aa".parse().expect("16 digits")
    }

    fn argument(field: &str, value: &[u8]) -> Vec<u8> {
        let mut arguments = Arguments::default();
        arguments.push(field, value);
        arguments.finish().remove(0)
    }

    /// Takes the items; gives the fields and whether the way from 10 to 20 is whole.
    fn taken(items: &[&[u8]]) -> (Vec<(i64, String, Vec<u8>)>, bool) {
        let mut changes = Changes::between(Instance::new(1), &definition(), 10, 20);
        let mut fields = Vec::new();
        for item in items {
            if let Some(change) = changes.take(item).expect("of the form that the script writes") {
                fields.extend(change.fields.into_iter().map(|(name, value)| (change.slice, name, value)));
            }
        }
        (fields, changes.are_whole())
    }

    #[test]
    fn what_lies_between_two_cursors_is_taken_in_its_order() {
        let [before, first, second, later] = [9_u8, 1, 2, 3].map(|value| argument("[\"a,b\"]", &[value, 0xc3]));
        let other = "0000000000000001:7:00000000000000bb".as_bytes();
        let items: Vec<&[u8]> = vec![
            b"5,10,0000000000000001",
            OWN.as_bytes(),
            &before,
            b"10,14,0000000000000001",
            OWN.as_bytes(),
            &first,
            other,
            &before,
            b"14,20,0000000000000001",
            b"0000000000000001:14:00000000000000aa",
            &second,
            b"20,21,0000000000000001",
            OWN.as_bytes(),
            &later,
        ];
        let key = || "[\"a,b\"]".to_owned();
        assert_eq!(taken(&items), (vec![(7, key(), vec![1, 0xc3]), (14, key(), vec![2, 0xc3])], true));
    }

    #[test]
    fn a_way_with_a_hole_is_not_whole() {
        for heads in [
            &[][..],
            &["10,14,0000000000000001"],
            &["14,20,0000000000000001"],
            &["10,14,0000000000000001", "15,20,0000000000000001"],
            &["8,12,0000000000000001", "12,20,0000000000000001"],
            &["10,14,0000000000000001", "14,22,0000000000000001"],
            &["10,20,0000000000000002"],
        ] {
            let items: Vec<&[u8]> = heads.iter().map(|head| head.as_bytes()).collect();
            assert_eq!(taken(&items), (Vec::new(), false), "{heads:?}");
        }
        let mut still = Changes::between(Instance::new(1), &definition(), 10, 10);
        assert!(still.are_whole());
        still.take(b"10,12,0000000000000001").expect("a head");
        assert!(still.are_whole(), "what began later is of no interest");
    }

    #[test]
    fn what_no_script_writes_is_refused() {
        for strange in [b"x".as_slice(), b"1,2", b"1,2,3", b"1,2,0000000000000001,4", b"\xff", b"a:b:c"] {
            let mut changes = Changes::between(Instance::new(1), &definition(), 0, 1);
            assert!(changes.take(strange).is_err(), "{strange:?}");
        }
        let mut changes = Changes::between(Instance::new(1), &definition(), 0, 1);
        changes.take(b"0,1,0000000000000001").expect("a head");
        changes.take(OWN.as_bytes()).expect("a name");
        assert!(changes.take(b"\xa3ab").is_err(), "a text that ends early");
    }
}
