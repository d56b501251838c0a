//! For how long a lane may rely on no other worker being ahead of it (I1).
//!
//! A server remembers for an hour which version a deleted document had. A lane that was left behind, and sends an older document of that id
//! later, would bring it back. So a lane writes only for half of that time after it knew that no other worker had gone on: when it read
//! its progress, or put it. When it has had nothing to write for some time, it asks first.
//!
//! A server that is started again remembers only what it had not flushed. So a lane relies on it for minutes, and not for half of that hour.

use std::time::{Duration, Instant};

use shared_logic::index::{GC_DELETES_S, SENT_WITHIN_S};

/// For how long the server remembers what was deleted, unless it is started again.
const REMEMBERED: Duration = Duration::from_secs(GC_DELETES_S);

/// When a lane last asked the server something whose answer said that no other worker was ahead of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Alone {
    asked: Instant,
}

impl Alone {
    /// It asked then.
    pub(super) fn since(asked: Instant) -> Alone {
        Alone { asked }
    }

    /// Whether it has to ask again before it writes: after a minute.
    pub(super) fn is_doubtful(self, now: Instant) -> bool {
        now.duration_since(self.asked) >= REMEMBERED / 60
    }

    /// From when on nothing may be written any more: after five minutes.
    pub(super) fn ends(self) -> Instant {
        self.asked + Duration::from_secs(SENT_WITHIN_S)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_asks_again_and_ends_its_writing_long_before_the_server_forgets() {
        let asked = Instant::now();
        let alone = Alone::since(asked);
        assert!(!alone.is_doubtful(asked) && !alone.is_doubtful(asked + REMEMBERED / 120));
        assert!(alone.is_doubtful(asked + REMEMBERED / 60) && alone.is_doubtful(asked + 2 * REMEMBERED));
        assert!(alone.ends() > asked + REMEMBERED / 60, "a lane that need not ask has time to write");
        assert!(alone.ends() + REMEMBERED / 2 <= asked + REMEMBERED);
    }
}
