//! The wall clock. This is the only place that asks for it; whoever needs the time takes it as an argument, and only
//! a process's outermost loop calls here.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since 1970-01-01 UTC; negative where the machine's clock stands before that.
pub fn now_us() -> i64 {
    let micros = |duration: std::time::Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    let now_us = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => micros(since),
        Err(before) => -micros(before.duration()),
    };
    now_us + wrong_by_us()
}

/// By how much this process's clock is wrong: `CLOCK_WRONG_BY_MS`, so that tests can run processes whose clocks differ on
/// one machine. A value that is no number panics: it exists in tests only.
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
