//! All alerts of the active version, judged once; and what has to be written of it.

use std::collections::BTreeMap;

use futures::future::join_all;
use shared_logic::alert::{AlertChange, AlertState, Judged, Receiver, labels, notification};
use shared_logic::catalog::{Alert, Metric};
use shared_logic::contracts::alert::{AlertStates, Undelivered, state_record, undelivered_record};

use super::asked::Asking;
use super::log::AlertRecords;

/// What receivers are told of an alert that the active version does not declare.
const REMOVED: &str = "the alert is not declared any more";
/// The same of one that it declares otherwise.
const REDEFINED: &str = "the alert is declared otherwise now, and is judged anew";

/// What one round has found.
#[derive(Default)]
pub(super) struct Round {
    /// What is known of each alert that is declared.
    states: BTreeMap<String, AlertState>,
    changes: Vec<AlertChange>,
}

impl Round {
    /// Judges all alerts of the version that `asking` asks.
    pub(super) async fn judge(asking: &Asking<'_>, known: &AlertStates) -> Round {
        let catalog = &asking.version.catalog;
        let judged =
            join_all(catalog.alerts.values().map(|alert| judged(asking, alert, known.alerts.get(&alert.name)))).await;
        let mut round = Round::default();
        for (name, before) in known.alerts.iter().filter(|(name, _)| !catalog.alerts.contains_key(*name)) {
            let change = AlertChange::between(before, &mut before.ended(), about(asking, name, None), Some(REMOVED));
            round.changes.extend(change);
        }
        for (alert, (state, changes)) in catalog.alerts.values().zip(judged) {
            round.states.insert(alert.name.clone(), state);
            round.changes.extend(changes);
        }
        round
    }

    /// Whether something has changed that has to be written at once.
    pub(super) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// What has to be written, given what is known. Notifications are noted if there is a receiver.
    pub(super) fn records(&self, known: &AlertStates, receiver: Option<&Receiver>) -> AlertRecords {
        let changes = self.changes.iter();
        let changes =
            changes.map(|change| (change.alert.clone(), serde_json::to_vec(change).expect("a change is plain data")));
        let of_declared = self.states.iter().filter(|(name, state)| known.alerts.get(*name) != Some(state));
        let of_declared = of_declared.map(|(name, state)| state_record(name, Some(state)));
        let removed = known.alerts.keys().filter(|name| !self.states.contains_key(*name));
        let removed = removed.map(|name| state_record(name, None));
        let owed = self.changes.iter().filter_map(|change| Some((change, notification(change, receiver?)?)));
        let owed = owed
            .zip(known.notified + 1..)
            .map(|((change, body), number)| undelivered_record(&Undelivered { id: change.id.clone(), number, body }));
        let states = of_declared.chain(removed).chain(owed).collect();
        AlertRecords { changes: changes.collect(), states }
    }

    /// Counts what was written.
    pub(super) fn count(&self) {
        metrics::counter!("braid_alert_judged_total").increment(self.states.len() as u64);
        for change in &self.changes {
            let labels = [("alert", change.alert.clone()), ("to", change.to.to_string())];
            metrics::counter!("braid_alert_changes_total", &labels).increment(1);
        }
    }

    /// The changes.
    pub(super) fn changes(&self) -> &[AlertChange] {
        &self.changes
    }
}

/// Judges one alert: what is known of it then, and its changes.
async fn judged(asking: &Asking<'_>, alert: &Alert, known: Option<&AlertState>) -> (AlertState, Vec<AlertChange>) {
    let (catalog, metric) = (&asking.version.catalog, &asking.version.catalog.metrics[&alert.metric]);
    let definition = catalog.alert_definition(alert);
    let labels = labels(&catalog.deployment.name, alert, metric);
    let unjudged = |born_us| AlertState::new(definition.clone(), labels.clone(), born_us);
    let about = about(asking, &alert.name, Some((alert, metric)));
    let mut changes = Vec::new();
    let mut state = match known {
        Some(known) if known.definition == definition => known.clone(),
        Some(known) => {
            let mut ended = known.ended();
            // Whether it was known before is of no interest; that it fired is.
            let fired = known.phase.fires();
            changes.extend(fired.then(|| AlertChange::between(known, &mut ended, about, Some(REDEFINED))).flatten());
            AlertState { changes: ended.changes, ..unjudged(known.born_us) }
        }
        None => unjudged(asking.now_us),
    };
    for mut after in asking.judge(alert, &state).await {
        after.changes = state.changes;
        changes.extend(AlertChange::between(&state, &mut after, about, None));
        state = after;
    }
    (state, changes)
}

fn about<'a>(asking: &'a Asking<'_>, name: &'a str, declared: Option<(&'a Alert, &'a Metric)>) -> Judged<'a> {
    let deployment = &asking.version.catalog.deployment;
    Judged { deployment: &deployment.name, version: &deployment.version, name, declared, at_us: asking.now_us }
}
