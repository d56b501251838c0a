//! Where the source's fields stand in a record: the tree of all their paths.

use crate::format::registered::steps;
use crate::schema::{Field, Step};

/// A value that a path leads to or through.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// The fields whose value this is.
    pub(super) fields: Vec<usize>,
    /// The fields of a record, or the entries of a map, that paths go on to.
    pub(super) members: Vec<(String, Places)>,
    /// The items of an array that paths go on to.
    pub(super) elements: Vec<(usize, Places)>,
}

impl Places {
    /// The places of these fields, as seen from a datum.
    pub(super) fn of(fields: &[Field]) -> Places {
        let mut datum = Places::default();
        for (at, field) in fields.iter().enumerate() {
            let steps = steps(field);
            if !steps.is_empty() {
                datum.enter(at, &steps);
            }
        }
        datum
    }

    /// The record's field of that name, if a path goes there.
    pub(super) fn member(&self, name: &str) -> Option<&Places> {
        self.members.iter().find(|(known, _)| known == name).map(|(_, places)| places)
    }

    fn enter(&mut self, field: usize, steps: &[Step]) {
        match steps.split_first() {
            None => self.fields.push(field),
            Some((Step::Member(name), rest)) => below(&mut self.members, name).enter(field, rest),
            Some((Step::Element(position), rest)) => below(&mut self.elements, position).enter(field, rest),
        }
    }
}

/// The places below a step, which is noted if it is new.
fn below<'a, S: PartialEq + Clone>(known: &'a mut Vec<(S, Places)>, step: &S) -> &'a mut Places {
    let at = known.iter().position(|(known, _)| known == step).unwrap_or_else(|| {
        known.push((step.clone(), Places::default()));
        known.len() - 1
    });
    &mut known[at].1
}
