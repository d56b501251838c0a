//! When what was read is committed.
//!
//! A commit waits for more records, so that there are few of them: until it is full, or `archive.linger` has passed since its first one. The
//! end of a backlog does not wait: if the commit before was full, the next one takes place as soon as nothing more comes. Neither does an
//! archiver that was overtaken in partitions that are its own.

use std::time::{Duration, Instant};

/// What decides whether it is time to commit.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the buffer was first ahead of the archive.
    since: Option<Instant>,
    /// Whether the commit before was full.
    follows_full: bool,
    /// Whether nothing came when Kafka was asked last.
    is_quiet: bool,
    /// Whether whatever comes first is committed at once.
    hurries: bool,
}

impl Pace {
    /// Kafka was asked and `items` came. `is_ahead`: the buffer is ahead of the archive.
    pub(super) fn read(&mut self, items: usize, is_ahead: bool, now: Instant) {
        self.is_quiet = items == 0;
        if is_ahead {
            self.since.get_or_insert(now);
        }
    }

    /// The next commit does not wait. Another archiver, to which the group has not given these partitions, has committed their records
    /// first. If both waited for as long, it would come first again and again; and as nothing of a commit that comes second is added, the
    /// partitions that it does not read would stand still.
    pub(super) fn hurry(&mut self) {
        self.hurries = true;
    }

    /// Everything that was read is being committed; `is_full`: it is as much as one commit may hold.
    pub(super) fn commits(&mut self, is_full: bool) {
        *self = Pace { follows_full: is_full, ..Pace::default() };
    }

    /// Whether it is time to commit what was read, which has not become full.
    pub(super) fn is_due(&self, linger: Duration, now: Instant) -> bool {
        let Some(since) = self.since else { return false };
        self.hurries || self.follows_full && self.is_quiet || now.saturating_duration_since(since) >= linger
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINGER: Duration = Duration::from_secs(2);

    #[test]
    fn a_commit_waits_for_more_records_since_its_first_one() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        pace.read(0, false, at(0));
        assert!(!pace.is_due(LINGER, at(60_000)), "there is nothing to commit");
        for (items, now, is_due) in [(5, 100, false), (0, 200, false), (7, 2_099, false), (0, 2_100, true)] {
            pace.read(items, true, at(now));
            assert_eq!(pace.is_due(LINGER, at(now)), is_due, "{now}");
        }
        pace.commits(false);
        pace.read(1, true, at(2_200));
        pace.read(0, true, at(2_300));
        assert!(!pace.is_due(LINGER, at(4_199)));
        assert!(pace.is_due(LINGER, at(4_200)));
    }

    #[test]
    fn the_end_of_a_backlog_is_committed_as_soon_as_nothing_more_comes() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        pace.read(4_096, true, start);
        pace.commits(true);
        pace.read(0, false, start);
        assert!(!pace.is_due(LINGER, start), "the backlog was one full commit");
        pace.read(4_096, true, start);
        assert!(!pace.is_due(LINGER, start), "more may come");
        pace.read(0, true, start);
        assert!(pace.is_due(LINGER, start));
        // From then on, records are few again.
        pace.commits(false);
        pace.read(5, true, start);
        pace.read(0, true, start);
        assert!(!pace.is_due(LINGER, start));
    }

    #[test]
    fn who_was_overtaken_commits_whatever_comes_first() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        pace.hurry();
        pace.read(0, false, start);
        assert!(!pace.is_due(LINGER, start), "there is nothing to commit");
        pace.read(4_096, true, start);
        assert!(pace.is_due(LINGER, start), "more may come, and it does not wait for that");
        // That one commit was in a hurry.
        pace.commits(false);
        pace.read(5, true, start);
        pace.read(0, true, start);
        assert!(!pace.is_due(LINGER, start));
    }
}
