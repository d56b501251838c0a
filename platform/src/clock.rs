//! The wall clock, which only this file reads. Code that needs the time takes it as an argument; only the outermost loops of
//! a process call [`now_us`].

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since 1970-01-01 UTC; negative if the machine's clock is set to a moment before that.
pub fn now_us() -> i64 {
    let micros = |duration: std::time::Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    let now_us = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => micros(since),
        Err(before) => -micros(before.duration()),
    };
    now_us + wrong_by_us()
}

/// How far this process's clock is off: `CLOCK_WRONG_BY_MS`, so that tests can run processes with different clocks on one
/// machine. Panics if the value is not a number, as only tests set it.
#[cfg(feature = "failpoints")]
fn wrong_by_us() -> i64 {
    static WRONG_BY_US: std::sync::LazyLock<i64> = std::sync::LazyLock::new(|| {
        let wrong_by_ms = std::env::var("CLOCK_WRONG_BY_MS").unwrap_or_else(|_| "0".to_owned());
        wrong_by_ms.parse::<i64>().expect("CLOCK_WRONG_BY_MS is a number of milliseconds") * 1_000
    });
    *WRONG_BY_US
}

#[cfg(not(feature = "failpoints"))]
fn wrong_by_us() -> i64 {
    0
}
