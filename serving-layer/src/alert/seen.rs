//! What this process has read of the topic of states, and whether it may take over.

use std::time::{Duration, Instant};

use platform::kafka::KafkaError;
use shared_logic::contracts::alert::{AlertStates, Judge, StateRecord};
use uuid::Uuid;

use super::log::{AlertLog, AlertRead};

/// What was read.
pub(super) struct Seen {
    /// The name that this process has given itself.
    pub(super) process: String,
    pub(super) states: AlertStates,
    /// The topic's id, and the first offset that was not read.
    log: Option<String>,
    next: i64,
    lease: Duration,
    /// The last record of who judges, and when it was heard of. The others' clocks do not matter.
    heard: Option<(Judge, Instant)>,
    /// Since when this process stays back, as another one has overtaken it.
    gave_way: Option<Instant>,
    /// How much longer than the lease it waits then, so that several do not take over at the same time.
    patience: Duration,
}

impl Seen {
    /// Nothing yet.
    pub(super) fn new(lease: Duration) -> Seen {
        let id = Uuid::new_v4();
        // By up to half of the lease.
        let patience = lease.mul_f64(f64::from(id.as_bytes()[0]) / 512.0);
        Seen {
            process: id.simple().to_string(),
            states: AlertStates::default(),
            log: None,
            next: 0,
            lease,
            heard: None,
            gave_way: None,
            patience,
        }
    }

    /// Reads on, up to the end of the topic; gives whether there is one.
    pub(super) async fn refresh(&mut self, log: &dyn AlertLog) -> Result<bool, KafkaError> {
        let Some(AlertRead { log, records, next }) = log.read(self.log.as_deref(), self.next).await? else {
            (self.log, self.next, self.states) = (None, 0, AlertStates::default());
            return Ok(false);
        };
        if self.log.as_ref() != Some(&log) {
            self.states = AlertStates::default();
        }
        (self.log, self.next) = (Some(log), next);
        for (key, payload) in records {
            self.states.take(key.as_deref(), payload.as_deref());
        }
        self.hear();
        Ok(true)
    }

    /// Takes what this process has written itself. It is read again later, which changes nothing.
    pub(super) fn take(&mut self, records: &[StateRecord]) {
        for (key, payload) in records {
            self.states.take(Some(key), payload.as_deref());
        }
        self.hear();
    }

    /// Another process has overtaken this one, which stays back for as long as that one is heard of.
    pub(super) fn gives_way(&mut self) {
        self.gave_way = Some(Instant::now());
    }

    /// It has taken over.
    pub(super) fn leads(&mut self) {
        self.gave_way = None;
    }

    /// How long it has to wait at least before it may take over; `None`: it may now.
    pub(super) fn wait(&self) -> Option<Duration> {
        let Some((judge, heard)) = &self.heard else { return self.rest(self.gave_way?) };
        match self.gave_way {
            Some(gave_way) => self.rest(gave_way.max(*heard)),
            None if judge.resigned || judge.process == self.process => None,
            None => self.rest(*heard),
        }
    }

    /// When somebody who judges was heard of last.
    pub(super) fn heard(&self) -> Option<Instant> {
        self.heard.as_ref().filter(|(judge, _)| !judge.resigned).map(|(_, at)| *at)
    }

    /// What is left of the lease that began then.
    fn rest(&self, since: Instant) -> Option<Duration> {
        (self.lease + self.patience).checked_sub(since.elapsed()).filter(|rest| !rest.is_zero())
    }

    fn hear(&mut self) {
        let known = self.heard.as_ref().map(|(judge, _)| judge);
        if let Some(judge) = &self.states.judge
            && known != Some(judge)
        {
            self.heard = Some((judge.clone(), Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use shared_logic::contracts::alert::judge_record;

    use super::*;

    fn hears(seen: &mut Seen, process: &str, beat: u64, resigned: bool) {
        seen.take(&[judge_record(&Judge { process: process.to_owned(), beat, resigned })]);
    }

    #[test]
    fn a_process_takes_over_where_nobody_judges_or_ever_did() {
        let mut seen = Seen::new(Duration::from_secs(3_600));
        assert_eq!((seen.wait(), seen.heard()), (None, None));
        hears(&mut seen, "other", 1, false);
        assert!(seen.wait().is_some() && seen.heard().is_some());
        hears(&mut seen, "other", 2, true);
        assert_eq!((seen.wait(), seen.heard()), (None, None), "it has stopped in order");
        let own = seen.process.clone();
        hears(&mut seen, &own, 3, false);
        assert_eq!(seen.wait(), None, "it was this process that failed");
    }

    #[test]
    fn a_process_that_was_overtaken_stays_back() {
        let mut seen = Seen::new(Duration::from_secs(3_600));
        let own = seen.process.clone();
        hears(&mut seen, &own, 1, false);
        seen.gives_way();
        assert!(seen.wait().is_some(), "before it has heard of the other one, too");
        hears(&mut seen, "other", 1, true);
        assert!(seen.wait().is_some());
        seen.leads();
        assert_eq!(seen.wait(), None);
    }

    #[test]
    fn silence_ends_a_lease_and_each_beat_begins_it_anew() {
        let mut seen = Seen::new(Duration::from_millis(40));
        hears(&mut seen, "other", 1, false);
        let begun = Instant::now();
        while let Some(rest) = seen.wait() {
            assert!(begun.elapsed() < Duration::from_secs(10), "the lease does not end");
            std::thread::sleep(rest);
        }
        assert!(begun.elapsed() >= Duration::from_millis(39));
        hears(&mut seen, "other", 2, false);
        assert!(seen.wait().is_some());
    }
}
