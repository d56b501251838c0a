//! Which partitions an archiver reads, if there are several.
//!
//! They are members of a consumer group, which divides the topic's partitions among them. That is a hint and keeps them from doing the
//! same work: what a commit may add is decided by the archive's facts alone ([`Facts::append`](shared_logic::contracts::archive::Facts)).
//!
//! So no archiver has to wait for its group, which takes seconds to form, and as long as a session lasts to notice that a member was killed.
//! While the group says nothing, an archiver reads what it read last, and at first every partition; but it gives way: before it commits, it looks
//! what others have committed, and leaves alone for a while what they have archived. If the group has said nothing for long, it may never say
//! anything again: then every partition is read as at first, also those that nobody had when it fell silent.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// For how many times as long as a session lasts the group says nothing until what it said last holds no more.
const SILENT_SESSIONS: u32 = 3;

/// What is known of the own share.
#[derive(Debug)]
pub(super) struct Share {
    /// What the group said last.
    last: Option<BTreeSet<i32>>,
    /// Since when it says nothing.
    silent_since: Option<Instant>,
    /// The partitions that others have archived while the group said nothing, and when that was found.
    others: BTreeMap<i32, Instant>,
    /// How long these are left alone. By then, the group has noticed that a member was killed, or it will not say anything.
    give_way: Duration,
}

/// The partitions that an archiver reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Own {
    /// Their numbers.
    pub(super) partitions: BTreeSet<i32>,
    /// Whether the group has given them. If not, others may read them.
    pub(super) is_granted: bool,
}

impl Share {
    /// Nothing is known. `give_way` is how long partitions are left alone that others have archived.
    pub(super) fn new(give_way: Duration) -> Share {
        Share { last: None, silent_since: None, others: BTreeMap::new(), give_way }
    }

    /// What to read of a topic with so many partitions. `granted` is what the group says now.
    pub(super) fn now(&mut self, granted: Option<BTreeSet<i32>>, partitions: i32, now: Instant) -> Own {
        let is_granted = granted.is_some();
        if is_granted {
            self.last = granted;
            self.silent_since = None;
            self.others.clear();
        } else {
            let silent_since = *self.silent_since.get_or_insert(now);
            if now.saturating_duration_since(silent_since) >= self.give_way * SILENT_SESSIONS {
                self.last = None;
            }
        }
        self.others.retain(|_, found| now.saturating_duration_since(*found) < self.give_way);
        let all = 0..partitions;
        let read = match &self.last {
            Some(last) => all.filter(|partition| last.contains(partition)).collect(),
            None => all.collect::<BTreeSet<i32>>(),
        };
        Own {
            partitions: read.into_iter().filter(|partition| !self.others.contains_key(partition)).collect(),
            is_granted,
        }
    }

    /// Others have archived these partitions.
    pub(super) fn give_way(&mut self, partitions: impl IntoIterator<Item = i32>, now: Instant) {
        self.others.extend(partitions.into_iter().map(|partition| (partition, now)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHILE: Duration = Duration::from_secs(10);

    fn own(partitions: &[i32], is_granted: bool) -> Own {
        Own { partitions: partitions.iter().copied().collect(), is_granted }
    }

    fn set(partitions: &[i32]) -> Option<BTreeSet<i32>> {
        Some(partitions.iter().copied().collect())
    }

    #[test]
    fn until_the_group_has_formed_everything_is_read_that_others_do_not_archive() {
        let (mut share, start) = (Share::new(WHILE), Instant::now());
        assert_eq!(share.now(None, 3, start), own(&[0, 1, 2], false));
        share.give_way([1], start);
        assert_eq!(share.now(None, 3, start), own(&[0, 2], false));
        // Whoever archived it may have been killed since.
        let later = start + WHILE;
        assert_eq!(share.now(None, 3, later - Duration::from_millis(1)), own(&[0, 2], false));
        assert_eq!(share.now(None, 3, later), own(&[0, 1, 2], false));
    }

    #[test]
    fn what_the_group_gives_is_read_and_nothing_else() {
        let (mut share, now) = (Share::new(WHILE), Instant::now());
        share.give_way([1], now);
        assert_eq!(share.now(set(&[1, 2, 7]), 3, now), own(&[1, 2], true), "the topic has no partition 7 yet");
        assert_eq!(share.now(set(&[]), 3, now), own(&[], true), "there are more archivers than partitions");
        assert_eq!(share.now(set(&[0, 1]), 3, now), own(&[0, 1], true), "of a killed one");
    }

    #[test]
    fn what_the_group_gave_is_read_on_while_it_says_nothing() {
        let (mut share, now) = (Share::new(WHILE), Instant::now());
        assert_eq!(share.now(set(&[0, 2]), 3, now), own(&[0, 2], true));
        assert_eq!(share.now(None, 3, now), own(&[0, 2], false));
        share.give_way([0], now);
        assert_eq!(share.now(None, 3, now), own(&[2], false), "another one has taken it over");
        assert_eq!(share.now(set(&[0, 1, 2]), 3, now), own(&[0, 1, 2], true));
    }

    #[test]
    fn if_the_group_falls_silent_for_long_no_partition_is_left_to_nobody() {
        let (mut share, start) = (Share::new(WHILE), Instant::now());
        assert_eq!(share.now(set(&[0]), 3, start), own(&[0], true));
        let long_after = start + WHILE * SILENT_SESSIONS;
        assert_eq!(share.now(None, 3, long_after), own(&[0], false), "it has spoken until now");
        let silent = long_after + WHILE * SILENT_SESSIONS;
        assert_eq!(share.now(None, 3, silent - Duration::from_millis(1)), own(&[0], false));
        assert_eq!(share.now(None, 4, silent), own(&[0, 1, 2, 3], false), "one was added, and others may be dead");
        share.give_way([1], silent);
        assert_eq!(share.now(None, 4, silent), own(&[0, 2, 3], false), "others that live are given way to");
        assert_eq!(share.now(set(&[0]), 4, silent), own(&[0], true));
        assert_eq!(share.now(None, 4, silent), own(&[0], false));
    }

    #[test]
    fn one_that_had_no_partition_reads_all_as_well_if_the_group_falls_silent_for_long() {
        let (mut share, start) = (Share::new(WHILE), Instant::now());
        assert_eq!(share.now(set(&[]), 2, start), own(&[], true), "there are more archivers than partitions");
        assert_eq!(share.now(None, 2, start), own(&[], false));
        let silent = start + WHILE * SILENT_SESSIONS;
        assert_eq!(share.now(None, 2, silent - Duration::from_millis(1)), own(&[], false));
        assert_eq!(share.now(None, 2, silent), own(&[0, 1], false), "those that had them may be dead");
        assert_eq!(share.now(set(&[]), 2, silent), own(&[], true));
    }
}
