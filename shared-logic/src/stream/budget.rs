//! How much one step may do (T10).

/// What an output costs. Whatever else is done once costs 1: an event, a timer that is looked at.
const OUTPUT: usize = 8;

/// What is left of a step.
#[derive(Debug)]
pub(super) struct Budget(usize);

impl Budget {
    /// For about that many outputs, at least one.
    pub(super) fn of_outputs(outputs: usize) -> Budget {
        Budget(outputs.max(1).saturating_mul(OUTPUT))
    }

    /// For anything.
    pub(super) fn unlimited() -> Budget {
        Budget(usize::MAX)
    }

    pub(super) fn is_spent(&self) -> bool {
        self.0 == 0
    }

    /// Something small was done.
    pub(super) fn look(&mut self) {
        self.0 = self.0.saturating_sub(1);
    }

    /// An output was made.
    pub(super) fn output(&mut self) {
        self.0 = self.0.saturating_sub(OUTPUT);
    }
}
