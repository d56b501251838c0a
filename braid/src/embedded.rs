//! Replacements for a Kafka and a Redis that the settings do not name: a broker inside this process, and a child process.
//!
//! With them, `braid up` works on an empty machine. They are not for production: the broker loses all records on exit, so each
//! start creates new topics, and only what was archived remains.

pub mod kafka;
pub mod redis;
