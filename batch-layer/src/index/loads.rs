//! Which builds other processes load, and whether they still do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use shared_logic::contracts::index::Build;

/// A load of which nothing is heard for so long is taken for dead. What it writes afterwards is of a build that has ended.
const DEAD_AFTER: Duration = Duration::from_secs(60);

/// What was last heard of loads of other processes. A clone shares it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Loads(Arc<Mutex<HashMap<(String, u64), Heard>>>);

/// What a loader has noted of itself. If it is another than before, the loader lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sign {
    loader: String,
    loaded: u64,
    beats: u64,
}

#[derive(Debug, Clone)]
struct Heard {
    sign: Sign,
    since: Instant,
}

impl Sign {
    /// What stands of it in the state.
    pub(super) fn of(build: &Build) -> Sign {
        // Loaders of older builds note only how many rows they have written.
        Sign { loader: build.loader.clone(), loaded: build.loaded, beats: build.beats }
    }
}

impl Loads {
    /// Whether the load of a build is dead: it has noted nothing since it was looked the first time, long ago.
    pub(super) fn is_dead(&self, index: &str, number: u64, sign: &Sign, now: Instant) -> bool {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // An index is looked at for one definition after the other, and numbers come twice only where the server has lost all.
        let begin = || Heard { sign: sign.clone(), since: now };
        let heard = heard.entry((index.to_owned(), number)).or_insert_with(begin);
        if heard.sign != *sign {
            *heard = begin();
        }
        now.saturating_duration_since(heard.since) >= DEAD_AFTER
    }

    /// The server did not do what it was asked for. So loaders could note nothing there, and that nothing was heard of them proves nothing.
    pub(crate) fn server_was_away(&self, index: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(known, _), _| known != index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(loaded: u64, beats: u64) -> Sign {
        Sign { loader: "me".to_owned(), loaded, beats }
    }

    #[test]
    fn a_load_is_dead_if_nothing_is_heard_of_it_for_a_minute() {
        let (loads, begin) = (Loads::default(), Instant::now());
        let is_dead =
            |number, sign: Sign, seconds| loads.is_dead("users", number, &sign, begin + Duration::from_secs(seconds));
        assert!(!is_dead(1, sign(0, 0), 0) && !is_dead(1, sign(0, 0), 59));
        assert!(!is_dead(1, sign(5, 0), 61), "it got on");
        assert!(!is_dead(2, sign(0, 0), 61), "that is another one");
        assert!(!is_dead(1, sign(5, 1), 120), "it waits for the server, and says so");
        assert!(!is_dead(1, sign(5, 1), 179));
        assert!(is_dead(1, sign(5, 1), 180), "only silence is death");
        let other = Sign { loader: "another".to_owned(), ..sign(5, 1) };
        assert!(!is_dead(1, other, 181), "the server has lost all, and numbers begin anew");
    }

    #[test]
    fn while_the_server_is_away_nothing_could_be_heard() {
        let (loads, begin) = (Loads::default(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert!(!loads.is_dead("users", 1, &sign(5, 1), at(0)) && !loads.is_dead("other", 1, &sign(5, 1), at(0)));
        loads.server_was_away("users");
        assert!(!loads.is_dead("users", 1, &sign(5, 1), at(70)));
        assert!(loads.is_dead("other", 1, &sign(5, 1), at(70)), "that was asked for in vain of one alone");
        assert!(loads.clone().is_dead("users", 1, &sign(5, 1), at(130)));
    }
}
