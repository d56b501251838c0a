//! Whether the log that a topic is said to be may be one of before.
//!
//! Every broker answers from its own copy of the cluster's metadata, which may be behind. Where a topic was created again, one broker may
//! say its new id and another one, a moment later, still the old one. An archiver that registered the old one would close the
//! new log, and note as lost what nobody has read of it yet. So where the archive knows of a newer log, an older one is believed only once brokers have said
//! nothing else for a while: then it is the cluster that has gone back, and not one broker that is behind.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use shared_logic::contracts::archive::Facts;

/// What brokers have said last, and since when that is doubted.
#[derive(Debug)]
pub(super) struct Doubt {
    /// For how long brokers have to say the same.
    patience: Duration,
    said: Option<Said>,
    /// When they have said something last.
    heard: Option<Instant>,
}

/// What brokers have said last.
#[derive(Debug)]
struct Said {
    log: String,
    /// The other logs that were open in the archive when this was said for the first time.
    known: BTreeSet<String>,
    since: Option<Instant>,
}

impl Doubt {
    /// Nothing was said yet.
    pub(super) fn new(patience: Duration) -> Doubt {
        Doubt { patience, said: None, heard: None }
    }

    /// Brokers say that there is no such topic, which is not what was doubted.
    pub(super) fn note_missing(&mut self) {
        if let Some(said) = &mut self.said {
            said.since = None;
        }
    }

    /// The topic is said to be that log, by an answer that came after these facts were read. Returns for how long that has been doubted by
    /// now; `None` if it is believed.
    ///
    /// It is doubted if another log is open that is newer: this one was closed in its favour, or it came into the archive after this
    /// one had been said. A log that was never heard of is believed at once: the topic was created again.
    pub(super) fn of(&mut self, log: &str, facts: &Facts, now: Instant) -> Option<Duration> {
        let others: BTreeSet<String> = facts.open_besides(log).map(str::to_owned).collect();
        // While no broker answers, none says the same again.
        let waited = self.heard.replace(now).map_or(Duration::ZERO, |heard| now.saturating_duration_since(heard));
        if let Some(since) = self.said.as_mut().and_then(|said| said.since.as_mut()) {
            *since += waited.saturating_sub(self.patience / 2);
        }
        if self.said.as_ref().is_none_or(|said| said.log != log) {
            self.said = Some(Said { log: log.to_owned(), known: others.clone(), since: None });
        }
        let said = self.said.as_mut()?;
        let is_older = !others.is_empty() && (facts.was_closed(log) || !others.is_subset(&said.known));
        if !is_older {
            said.since = None;
            return None;
        }
        let since = *said.since.get_or_insert(now);
        let doubted = now.saturating_duration_since(since);
        (doubted < self.patience).then_some(doubted)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use shared_logic::catalog::Start;

    use super::*;

    const WHILE: Duration = Duration::from_secs(10);

    /// The facts of an archive that has seen the topic as each of these logs, one after the other.
    fn registered(logs: &[&str]) -> Facts {
        let (mut facts, starts) = (Facts::default(), BTreeMap::from([(0, 0)]));
        for log in logs {
            facts.register_topic(log, Start::Earliest, &starts, &starts, &BTreeSet::new());
        }
        facts
    }

    #[test]
    fn a_topic_that_was_created_again_is_believed_at_once() {
        let (mut doubt, now) = (Doubt::new(WHILE), Instant::now());
        assert_eq!(doubt.of("a", &Facts::default(), now), None);
        assert_eq!(doubt.of("a", &registered(&["a"]), now), None);
        assert_eq!(doubt.of("b", &registered(&["a"]), now), None);
        assert_eq!(doubt.of("b", &registered(&["a", "b"]), now), None);
    }

    #[test]
    fn a_log_that_was_closed_for_another_one_is_believed_once_nothing_else_is_said_for_a_while() {
        let (mut doubt, start, facts) = (Doubt::new(WHILE), Instant::now(), registered(&["a", "b"]));
        assert_eq!(doubt.of("a", &facts, start), Some(Duration::ZERO));
        assert_eq!(doubt.of("a", &facts, start + WHILE / 2), Some(WHILE / 2));
        // A broker that is not behind.
        assert_eq!(doubt.of("b", &facts, start + WHILE / 2), None);
        let again = start + WHILE;
        assert_eq!(doubt.of("a", &facts, again), Some(Duration::ZERO));
        assert_eq!(doubt.of("a", &facts, again + WHILE / 2), Some(WHILE / 2));
        assert_eq!(doubt.of("a", &facts, again + WHILE), None, "the cluster has gone back");
        assert_eq!(doubt.of("a", &registered(&["a", "b", "a"]), again + WHILE), None);
    }

    #[test]
    fn what_is_said_once_and_again_after_an_outage_is_still_doubted() {
        let (mut doubt, start, facts) = (Doubt::new(WHILE), Instant::now(), registered(&["a", "b"]));
        assert_eq!(doubt.of("a", &facts, start), Some(Duration::ZERO));
        let after = start + WHILE * 3;
        assert_eq!(doubt.of("a", &facts, after), Some(WHILE / 2), "no broker has answered in between");
        doubt.note_missing();
        assert_eq!(doubt.of("a", &facts, after + WHILE / 2), Some(Duration::ZERO), "another broker said otherwise");
        assert_eq!(doubt.of("a", &facts, after + WHILE), Some(WHILE / 2));
        assert_eq!(doubt.of("a", &facts, after + WHILE / 2 * 3), None);
    }

    #[test]
    fn a_log_that_another_archiver_has_registered_since_this_one_was_said_is_the_newer_one() {
        let (mut doubt, now) = (Doubt::new(WHILE), Instant::now());
        assert_eq!(doubt.of("a", &registered(&["older"]), now), None);
        // Its commit was a conflict, and it asks again.
        assert_eq!(doubt.of("a", &registered(&["older", "b"]), now), Some(Duration::ZERO));
        assert_eq!(doubt.of("b", &registered(&["older", "b"]), now), None);
    }

    #[test]
    fn a_log_is_opened_again_at_once_if_no_other_one_is_open() {
        let mut facts = registered(&["a"]);
        facts.close("a");
        assert_eq!(Doubt::new(WHILE).of("a", &facts, Instant::now()), None);
    }
}
