//! How many requests a key may make: a bucket that holds `burst` tokens, of which each request takes one, and into which
//! `per_second` come back.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The tokens of one key.
pub(super) struct Bucket {
    per_second: f64,
    burst: f64,
    /// How many there were, and when; full until the first request.
    held: Mutex<Option<(f64, Instant)>>,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(per_second: u32, burst: u32) -> Bucket {
        Bucket { per_second: f64::from(per_second), burst: f64::from(burst), held: Mutex::new(None) }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// If there is none: how long it takes until there is one. Asking for it takes none.
    pub(super) fn take(&self, now: Instant) -> Result<(), Duration> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, since) = held.unwrap_or((self.burst, now));
        let back = now.saturating_duration_since(since).as_secs_f64() * self.per_second;
        let tokens = (tokens + back).min(self.burst);
        if tokens < 1.0 {
            *held = Some((tokens, now.max(since)));
            return Err(Duration::from_secs_f64((1.0 - tokens) / self.per_second));
        }
        *held = Some((tokens - 1.0, now.max(since)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_possible_at_once_and_so_many_a_second_in_the_long_run() {
        let (bucket, begin) = (Bucket::new(10, 3), Instant::now());
        let taken = |after_ms: u64, tries: usize| {
            (0..tries).filter(|_| bucket.take(begin + Duration::from_millis(after_ms)).is_ok()).count()
        };
        assert_eq!(taken(0, 5), 3);
        assert_eq!(bucket.take(begin), Err(Duration::from_millis(100)));
        assert_eq!(taken(250, 5), 2);
        assert_eq!(taken(310, 5), 1, "half a token was left");
        assert_eq!(taken(60_000, 5), 3, "no more than fit in");
        let in_a_second: usize = (1..=100).map(|n| taken(60_000 + n * 10, 2)).sum();
        assert!((9..=10).contains(&in_a_second), "{in_a_second}");
    }

    #[test]
    fn a_request_that_was_timed_earlier_brings_nothing_back() {
        let (bucket, begin) = (Bucket::new(10, 1), Instant::now());
        let later = begin + Duration::from_secs(1);
        assert!(bucket.take(later).is_ok());
        assert!(bucket.take(begin).is_err());
        assert!(bucket.take(later + Duration::from_millis(50)).is_err());
        assert!(bucket.take(later + Duration::from_millis(100)).is_ok());
    }
}
