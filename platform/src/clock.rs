//! The wall clock. This is the only place that asks for it; whoever needs the time takes it as an argument, and only
//! a process's outermost loop calls here.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since 1970-01-01 UTC; negative where the machine's clock stands before that.
pub fn now_us() -> i64 {
    let micros = |duration: std::time::Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => micros(since),
        Err(before) => -micros(before.duration()),
    }
}
