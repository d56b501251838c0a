//! A table, and what it has to be by hand, on a real archive.

pub(crate) mod bench;
mod by_hand;
mod erased;
mod indexed;
mod kept;
mod profiles;
mod read_back;
mod wanted;

pub(super) use bench::CATALOG;
