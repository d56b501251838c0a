//! Which offsets of a partition a definition has decided (T13).

use std::ops::Range;

use crate::catalog::DefinitionHash;

/// From that offset on, a stream is decided by that definition, until another one follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Since {
    /// The first offset.
    pub offset: i64,
    /// The definition; `None`: from there on, nothing that could be compared.
    pub definition: Option<DefinitionHash>,
}

/// The offsets within `range` that `definition` has decided, in order. Before the first of `since` nothing is known to have decided
/// any; of two at the same offset, the later one stands.
pub fn decided_by(definition: &DefinitionHash, since: &[Since], range: &Range<i64>) -> Vec<Range<i64>> {
    let mut since: Vec<&Since> = since.iter().collect();
    since.sort_by_key(|since| since.offset);
    let mut decided: Vec<Range<i64>> = Vec::new();
    for (at, Since { offset, definition: by }) in since.iter().copied().enumerate() {
        let end = since.get(at + 1).map_or(i64::MAX, |next| next.offset);
        let (from, to) = ((*offset).max(range.start), end.min(range.end));
        if by.as_ref() != Some(definition) || from >= to {
            continue;
        }
        match decided.last_mut() {
            Some(last) if last.end == from => last.end = to,
            _ => decided.push(from..to),
        }
    }
    decided
}

/// What is left of `range` without these ranges, which are in order.
pub fn others(ranges: &[Range<i64>], range: &Range<i64>) -> Vec<Range<i64>> {
    let (mut left, mut from) = (Vec::new(), range.start);
    for taken in ranges {
        left.push(from..taken.start.min(range.end));
        from = from.max(taken.end);
    }
    left.push(from..range.end);
    left.retain(|left| left.start < left.end);
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u8) -> DefinitionHash {
        format!("{n:016x}").parse().expect("16 digits")
    }

    fn spans(all: &[(i64, i64)]) -> Vec<Range<i64>> {
        all.iter().map(|(from, to)| *from..*to).collect()
    }

    fn since(offset: i64, n: u8) -> Since {
        Since { offset, definition: Some(hash(n)) }
    }

    #[test]
    fn a_definition_has_decided_from_where_it_begins_to_where_another_one_does() {
        let all = [since(10, 1), since(20, 2), since(30, 1), since(40, 1), since(50, 3)];
        assert_eq!(decided_by(&hash(1), &all, &(0..100)), [10..20, 30..50]);
        assert_eq!(decided_by(&hash(1), &all, &(15..35)), [15..20, 30..35]);
        assert_eq!(decided_by(&hash(3), &all, &(0..100)), spans(&[(50, 100)]), "the last one goes on");
        assert_eq!(decided_by(&hash(2), &all, &(30..100)), []);
        assert_eq!(decided_by(&hash(1), &all, &(0..10)), [], "nothing had begun");
        assert_eq!(decided_by(&hash(1), &[], &(0..100)), []);
        let away = [since(10, 1), Since { offset: 20, definition: None }, since(30, 1)];
        assert_eq!(decided_by(&hash(1), &away, &(0..40)), [10..20, 30..40], "it was not declared in between");
    }

    #[test]
    fn neither_the_order_matters_nor_what_was_replaced_at_once() {
        let shuffled = [since(30, 1), since(10, 1), since(20, 2), since(20, 1)];
        assert_eq!(decided_by(&hash(1), &shuffled, &(0..40)), spans(&[(10, 40)]));
        assert_eq!(decided_by(&hash(2), &shuffled, &(0..40)), []);
    }

    #[test]
    fn what_is_left_is_everything_else() {
        assert_eq!(others(&[10..20, 30..50], &(0..100)), [0..10, 20..30, 50..100]);
        assert_eq!(others(&[10..20, 30..50], &(10..50)), spans(&[(20, 30)]));
        assert_eq!(others(&[], &(5..9)), spans(&[(5, 9)]));
        assert_eq!(others(&spans(&[(5, 9)]), &(5..9)), []);
        assert_eq!(others(&spans(&[(5, 9)]), &(9..9)), []);
    }
}
