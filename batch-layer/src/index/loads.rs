//! Which builds other processes load, and whether they still do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A load that does not get on for so long is taken for dead. What it writes afterwards is of a build that has ended.
const DEAD_AFTER: Duration = Duration::from_secs(60);

/// How far loads of other processes were when it was looked. A clone shares it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Loads(Arc<Mutex<HashMap<(String, u64), Seen>>>);

#[derive(Debug, Clone, Copy)]
struct Seen {
    loaded: u64,
    since: Instant,
}

impl Loads {
    /// Whether the load of a build that has written so many rows is dead: it has not got on since it was looked the first time, long ago.
    pub(super) fn is_dead(&self, index: &str, number: u64, loaded: u64, now: Instant) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // An index is looked at for one definition after the other, and numbers never come twice.
        let seen = seen.entry((index.to_owned(), number)).or_insert(Seen { loaded, since: now });
        if seen.loaded != loaded {
            *seen = Seen { loaded, since: now };
        }
        now.saturating_duration_since(seen.since) >= DEAD_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_dead_if_it_does_not_get_on_for_a_minute() {
        let (loads, begin) = (Loads::default(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert!(!loads.is_dead("users", 1, 0, at(0)));
        assert!(!loads.is_dead("users", 1, 0, at(59)));
        assert!(!loads.is_dead("users", 1, 5, at(61)), "it got on");
        assert!(!loads.is_dead("users", 2, 0, at(61)), "that is another one");
        assert!(!loads.is_dead("users", 1, 5, at(120)));
        assert!(loads.clone().is_dead("users", 1, 5, at(121)));
    }
}
