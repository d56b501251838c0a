//! The crate from outside.

mod redis;
mod send;
mod send_input;
