//! The crate from outside.

mod redis;
mod send;
