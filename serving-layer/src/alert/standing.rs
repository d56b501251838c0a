//! What requests are told of alerts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use platform::settings;
use shared_logic::alert::{AlertState, StateWord};
use tokio::sync::watch;

use super::seen::Seen;

/// What is known in this process.
pub(crate) struct Standings {
    settings: settings::Alerts,
    now: watch::Sender<Arc<Standing>>,
}

/// What is known at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) role: Role,
    /// Why alerts are not judged by this process, and what is known of them may be old.
    pub(crate) failure: Option<String>,
    /// When a process that judges was heard of last.
    pub(crate) heard: Option<Instant>,
    pub(crate) alerts: BTreeMap<String, AlertState>,
    /// How many notifications are not delivered yet.
    pub(crate) undelivered: usize,
    /// Why the last one could not be delivered.
    pub(crate) webhook_error: Option<String>,
}

/// What this process does about alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It has not begun.
    Starting,
    /// There are no alerts.
    Idle,
    /// It judges.
    Judging,
    /// Another process judges, or one has to be silent for a while before this one takes over.
    Following,
}

impl Standings {
    /// Nothing is known yet.
    pub(crate) fn new(settings: settings::Alerts) -> Standings {
        let nothing = Standing {
            role: Role::Starting,
            failure: None,
            heard: None,
            alerts: BTreeMap::new(),
            undelivered: 0,
            webhook_error: None,
        };
        Standings { settings, now: watch::Sender::new(Arc::new(nothing)) }
    }

    pub(crate) fn settings(&self) -> &settings::Alerts {
        &self.settings
    }

    /// What is known now. Of alerts that nobody judges any more, it is not known how they stand.
    pub(crate) fn now(&self) -> Arc<Standing> {
        let now = Arc::clone(&self.now.borrow());
        let Some(reason) = self.silence(&now) else { return now };
        let alerts = now.alerts.iter().map(|(name, state)| (name.clone(), state.not_known(reason.clone())));
        Arc::new(Standing { alerts: alerts.collect(), ..Standing::clone(&now) })
    }

    /// Why nothing is known any more, if no process that judges was heard of for as long as answers may be old.
    fn silence(&self, standing: &Standing) -> Option<String> {
        let most = self.settings.stale_after.get().max(self.settings.lease.get() * 2);
        match (standing.heard, &standing.failure) {
            (Some(heard), _) if heard.elapsed() > most => {
                Some(format!("no process has judged it for {} s", heard.elapsed().as_secs()))
            }
            (None, Some(failure)) => Some(format!("no process judges it: {failure}")),
            _ => None,
        }
    }

    /// Tells requests what was read or judged.
    pub(super) fn tell(&self, role: Role, seen: &Seen) {
        let webhook_error = if role == Role::Judging { self.now().webhook_error.clone() } else { None };
        self.set(role, seen, None, webhook_error);
    }

    /// Tells them that this process cannot go on; gives whether that is news.
    pub(super) fn fails(&self, seen: &Seen, reason: String) -> bool {
        let is_news = self.now().failure.as_ref() != Some(&reason);
        self.set(Role::Following, seen, Some(reason), None);
        is_news
    }

    /// Tells them why a notification could not be delivered, or that it was.
    pub(super) fn posted(&self, error: Option<String>) {
        self.now.send_modify(|now| Arc::make_mut(now).webhook_error = error);
    }

    fn set(&self, role: Role, seen: &Seen, failure: Option<String>, webhook_error: Option<String>) {
        let standing = Standing {
            role,
            failure,
            heard: seen.heard(),
            alerts: seen.states.alerts.clone(),
            undelivered: seen.states.undelivered.len(),
            webhook_error,
        };
        metrics::gauge!("braid_alert_undelivered").set(standing.undelivered as f64);
        let is_silent = self.silence(&standing).is_some();
        let word = |state: &AlertState| if is_silent { StateWord::Unknown } else { state.word() };
        let words = standing.alerts.iter().map(|(name, state)| (name.clone(), word(state))).collect::<BTreeMap<_, _>>();
        let before = self.now.send_replace(Arc::new(standing));
        for name in before.alerts.keys().chain(words.keys()) {
            for word in StateWord::ALL {
                let is_now = if words.get(name) == Some(&word) { 1.0 } else { 0.0 };
                metrics::gauge!("braid_alert_state", "alert" => name.clone(), "state" => word.as_str()).set(is_now);
            }
        }
    }
}

impl Role {
    /// The role as a word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Role::Starting => "starting",
            Role::Idle => "idle",
            Role::Judging => "judging",
            Role::Following => "following",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use platform::settings::Span;
    use shared_logic::catalog::DefinitionHash;
    use shared_logic::contracts::alert::{Judge, judge_record, state_record};

    use super::*;

    #[test]
    fn what_nobody_judges_any_more_is_not_known() {
        let with = |lease| settings::Alerts { lease, stale_after: Span::from_millis(1), ..settings::Alerts::default() };
        let state = AlertState { unknown: None, ..AlertState::new(DefinitionHash::of_none(), BTreeMap::new(), 0) };
        let judge = Judge { process: "other".to_owned(), beat: 1, resigned: false };
        let mut seen = Seen::new(Duration::from_secs(1));
        seen.take(&[state_record("a", Some(&state)), judge_record(&judge)]);
        let patient = Standings::new(with(Span::from_secs(3_600)));
        patient.fails(&seen, "kafka is away".to_owned());
        assert_eq!(patient.now().alerts["a"].word(), StateWord::Ok, "another process may judge it");
        let standings = Standings::new(with(Span::from_millis(1)));
        standings.fails(&seen, "kafka is away".to_owned());
        let begun = Instant::now();
        while standings.now().alerts["a"].word() != StateWord::Unknown {
            assert!(begun.elapsed() < Duration::from_secs(10), "it stays known");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
