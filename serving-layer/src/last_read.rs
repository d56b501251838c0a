//! A value that is read again and again, and what remains of it when a read fails.

/// What the last reads gave.
#[derive(Debug, Clone)]
pub(crate) struct LastRead<T> {
    /// The value of the last read that succeeded; `None` before the first.
    pub(crate) value: Option<T>,
    /// Why the last read failed; `None` if it succeeded.
    pub(crate) error: Option<String>,
}

impl<T: Clone> LastRead<T> {
    /// What is known after another read. If it failed, the value before stays.
    pub(crate) fn after(before: Option<&LastRead<T>>, read: Result<T, String>) -> LastRead<T> {
        match read {
            Ok(value) => LastRead { value: Some(value), error: None },
            Err(error) => LastRead { value: before.and_then(|last| last.value.clone()), error: Some(error) },
        }
    }
}

impl<T> LastRead<T> {
    /// Whether a read has ended, with or without a value.
    pub(crate) fn is_tried(&self) -> bool {
        self.value.is_some() || self.error.is_some()
    }
}

impl<T> Default for LastRead<T> {
    fn default() -> LastRead<T> {
        LastRead { value: None, error: None }
    }
}
