//! How far long work has come, for a person who waits for it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use platform::terminal::{self, StatusLine};

/// How far some work has come, in words. Clones speak of the same work.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Mutex<String>>);

impl Progress {
    /// Nothing is said yet but that.
    pub(crate) fn new(first: &str) -> Progress {
        Progress(Arc::new(Mutex::new(first.to_owned())))
    }

    /// Says how far the work has come.
    pub(crate) fn say(&self, how_far: impl fmt::Display) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = how_far.to_string();
    }

    /// What was said last.
    pub fn said(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Shows it on a terminal, if standard error is one, while the work lasts.
    pub async fn shown<F: Future>(&self, work: F) -> F::Output {
        let line = StatusLine::new(terminal::width(&std::io::stderr()));
        line.beside(work, || self.said()).await
    }
}
