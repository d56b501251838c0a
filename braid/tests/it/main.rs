//! The crate from outside.

mod send;
