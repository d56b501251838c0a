//! Which offsets were counted.

/// A set of offsets below 63, and whether one of them is in it twice or belongs to another log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mask(u64);

const WRONG: u64 = 1 << 63;

impl Mask {
    /// The offsets `[from, to)`.
    pub(super) fn span(from: i64, to: i64) -> Mask {
        Mask((from..to).fold(0, |mask, offset| mask | 1 << offset))
    }

    /// As counters add: what is in both was counted twice.
    pub(super) fn plus(self, other: Mask) -> Mask {
        Mask(self.0 | other.0 | if self.0 & other.0 == 0 { 0 } else { WRONG })
    }

    pub(super) fn without(self, other: Mask) -> Mask {
        Mask(self.0 & !other.0)
    }

    pub(super) fn and(self, other: Mask) -> Mask {
        Mask(self.0 | other.0)
    }

    /// Marks it as counted from the records of another log.
    pub(super) fn foreign(self) -> Mask {
        Mask(if self.0 == 0 { 0 } else { self.0 | WRONG })
    }

    pub(super) fn is_wrong(self) -> bool {
        self.0 & WRONG != 0
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl std::fmt::Display for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let offsets: Vec<String> = (0..63).filter(|at| self.0 >> at & 1 == 1).map(|at| at.to_string()).collect();
        write!(f, "{{{}}}{}", offsets.join(","), if self.is_wrong() { "!!" } else { "" })
    }
}
