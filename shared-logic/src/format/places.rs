//! Where the declared fields stand in a payload whose values have names: the tree of all their paths.
//!
//! It is made once for a source. A format goes down only where a path goes, so a source without paths pays nothing for them.

use serde_json::Value;

use crate::schema::{Field, Place, Step};

/// A value that paths lead to or through.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    /// The fields whose value this is.
    pub(super) fields: Vec<usize>,
    /// The members that paths go on to, in the order in which fields name them.
    pub(super) members: Vec<(String, Places)>,
    /// The elements that paths go on to, by ascending position.
    pub(super) elements: Vec<(usize, Places)>,
    /// Every field that stands inside of this value.
    pub(super) inside: Vec<usize>,
    /// Of a member: its name and the colon behind it, as programs write them in JSON unless they add blanks or escapes.
    pub(super) written: String,
}

impl Places {
    /// The places of these fields, as seen from the whole payload. A field that is joined from others has none.
    pub(super) fn of(fields: &[Field]) -> Places {
        let mut places = Places::default();
        for (at, field) in fields.iter().enumerate() {
            let steps = steps(field);
            if !steps.is_empty() {
                places.enter(at, &steps);
            }
        }
        places
    }

    /// The member of that name; `expected` is tried first.
    pub(super) fn member(&self, name: &[u8], expected: usize) -> Option<usize> {
        let is_it = |(known, _): &(String, Places)| known.as_bytes() == name;
        if self.members.get(expected).is_some_and(is_it) {
            return Some(expected);
        }
        self.members.iter().position(is_it)
    }

    /// Enters a field that stands so many steps below.
    pub(super) fn enter(&mut self, field: usize, steps: &[Step]) {
        match steps.split_first() {
            None => self.fields.push(field),
            Some((step, rest)) => {
                self.inside.push(field);
                self.below(step).enter(field, rest);
            }
        }
    }

    /// The places one step below.
    fn below(&mut self, step: &Step) -> &mut Places {
        match step {
            Step::Member(name) => {
                let known = self.members.iter().position(|(known, _)| known == name);
                let at = known.unwrap_or(self.members.len());
                if known.is_none() {
                    let written = format!("{}:", Value::from(name.as_str()));
                    self.members.push((name.clone(), Places { written, ..Places::default() }));
                }
                &mut self.members[at].1
            }
            Step::Element(position) => {
                let known = self.elements.binary_search_by_key(position, |(known, _)| *known);
                let (Ok(at) | Err(at)) = known;
                if known.is_err() {
                    self.elements.insert(at, (*position, Places::default()));
                }
                &mut self.elements[at].1
            }
        }
    }
}

/// The way from a payload to a field's value. A field that no payload holds by itself has none.
pub(super) fn steps(field: &Field) -> Vec<Step> {
    match &field.place {
        Place::Own => vec![Step::Member(field.name.clone())],
        Place::Path(steps) => steps.clone(),
        Place::Joined(_) | Place::Record => Vec::new(),
    }
}
