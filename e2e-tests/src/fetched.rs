//! What scenarios run that Cargo does not build: a script fetches it, once per user, and prints where it lies.

pub(crate) use test_kit::fetched::{by, notice, refuse_in_ci};
