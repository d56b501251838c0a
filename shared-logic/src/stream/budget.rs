//! How much one step may do (T10).

/// What an output costs. Whatever else is done once costs 1: an event, a timer that is looked at.
const OUTPUT: usize = 8;

/// What is left of a step.
#[derive(Debug)]
pub(super) struct Budget {
    looks: usize,
    bytes: usize,
}

impl Budget {
    /// For about that many outputs, at least one, which take about so many bytes.
    pub(super) fn of_outputs(outputs: usize, bytes: usize) -> Budget {
        Budget { looks: outputs.max(1).saturating_mul(OUTPUT), bytes: bytes.max(1) }
    }

    /// For anything.
    pub(super) fn unlimited() -> Budget {
        Budget { looks: usize::MAX, bytes: usize::MAX }
    }

    pub(super) fn is_spent(&self) -> bool {
        self.looks == 0 || self.bytes == 0
    }

    /// Something small was done.
    pub(super) fn look(&mut self) {
        self.looks = self.looks.saturating_sub(1);
    }

    /// An output was made that takes so many bytes.
    pub(super) fn output(&mut self, bytes: usize) {
        self.looks = self.looks.saturating_sub(OUTPUT);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}
