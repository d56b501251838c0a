//! Stand-ins for what nobody named: a Kafka inside this process, a Redis as its child.
//!
//! They make `braid up` work on an empty machine, and are not meant to last: the broker forgets on exit, so each start is
//! a new log, and what stays is what was archived.

pub mod kafka;
pub mod redis;
