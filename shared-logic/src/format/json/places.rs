//! Where the declared fields stand in a document: the tree of all their paths.
//!
//! It is made once for a source. The tokenizer goes down only where a path goes, so a source without paths pays nothing for
//! them.

use crate::schema::{Field, Place, Step};

/// The places of a source's fields.
#[derive(Debug, Clone, Default)]
pub(in crate::format) struct Places {
    /// The document.
    pub(super) root: Node,
    /// Fields that stand where an earlier field stands: the earlier one, and this one.
    pub(super) alike: Vec<(usize, usize)>,
}

/// A value that a path leads to or through.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    /// The field whose value this is.
    pub(super) field: Option<usize>,
    /// The members that paths go on to, in the order in which fields name them.
    pub(super) members: Vec<(String, Node)>,
    /// The elements that paths go on to, by ascending position.
    pub(super) elements: Vec<(usize, Node)>,
    /// Every field that stands inside of this value.
    pub(super) inside: Vec<usize>,
}

impl Places {
    /// The places of these fields. A field that is joined from others has none.
    pub(in crate::format) fn of(fields: &[Field]) -> Places {
        let mut places = Places::default();
        for (at, field) in fields.iter().enumerate() {
            let earlier = match &field.place {
                Place::Own => places.root.enter(at, &[Step::Member(field.name.clone())]),
                Place::Path(steps) => places.root.enter(at, steps),
                Place::Joined(_) => None,
            };
            places.alike.extend(earlier.map(|earlier| (earlier, at)));
        }
        places
    }
}

impl Node {
    /// The member of that name; `expected` is tried first.
    pub(super) fn member(&self, name: &[u8], expected: usize) -> Option<usize> {
        let is_it = |(known, _): &(String, Node)| known.as_bytes() == name;
        if self.members.get(expected).is_some_and(is_it) {
            return Some(expected);
        }
        self.members.iter().position(is_it)
    }

    /// Enters a field that stands so many steps below; gives the earlier field if one stands there already.
    fn enter(&mut self, field: usize, steps: &[Step]) -> Option<usize> {
        let Some((step, rest)) = steps.split_first() else {
            let standing = *self.field.get_or_insert(field);
            return (standing != field).then_some(standing);
        };
        let earlier = self.below(step).enter(field, rest);
        if earlier.is_none() {
            self.inside.push(field);
        }
        earlier
    }

    /// The node one step below.
    fn below(&mut self, step: &Step) -> &mut Node {
        match step {
            Step::Member(name) => {
                let known = self.members.iter().position(|(known, _)| known == name);
                let at = known.unwrap_or(self.members.len());
                if known.is_none() {
                    self.members.push((name.clone(), Node::default()));
                }
                &mut self.members[at].1
            }
            Step::Element(position) => {
                let known = self.elements.binary_search_by_key(position, |(known, _)| *known);
                let (Ok(at) | Err(at)) = known;
                if known.is_err() {
                    self.elements.insert(at, (*position, Node::default()));
                }
                &mut self.elements[at].1
            }
        }
    }
}
