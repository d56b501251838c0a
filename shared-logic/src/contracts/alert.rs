//! The topics of alerts (A2, A3): what is known of each, who judges, and which notifications are not delivered yet.
//!
//! The topic of states has one partition and is compacted, so of each key the newest record is kept for ever. Changes are written to the topic
//! of alerts in the same transaction as the states after them, under one transactional id for the deployment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::alert::{AlertState, changed_alert};

/// How the name of the topic of states goes on behind that of the topic of alerts.
const STATES: &str = "state";
/// The key of the record that says who judges.
const JUDGE: &str = "judge";
/// How the key of a state begins.
const STATE: &str = "alert/";
/// How the key of a notification begins that is not delivered yet.
const UNDELIVERED: &str = "undelivered/";

/// The topic of alerts of a deployment that names none.
pub fn alerts_topic(deployment: &str) -> String {
    format!("{deployment}.alerts")
}

/// The topic of states that belongs to a topic of alerts.
pub fn states_topic(alerts_topic: &str) -> String {
    format!("{alerts_topic}.{STATES}")
}

/// The transactional id of whoever judges the alerts of a deployment. There is one, so that only one does.
pub fn alerts_transactional_id(deployment: &str) -> String {
    format!("{deployment}.alerts")
}

/// Who judges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judge {
    /// The process: a random name that it has given itself.
    pub process: String,
    /// A number that grows with each record.
    pub beat: u64,
    /// Whether it has stopped in order, so that nobody needs to wait for it.
    pub resigned: bool,
}

/// A notification that has to be posted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Undelivered {
    /// The id of the change.
    pub id: String,
    /// Grows with each notification of the deployment; they are posted in this order.
    pub number: u64,
    /// What is posted.
    pub body: Json,
}

impl Undelivered {
    /// What receivers know the alert by: a name of its labels, which are others once it is declared otherwise. Where the body has none, the
    /// alert's own name.
    fn known_by(&self) -> &str {
        self.body["alerts"][0]["fingerprint"].as_str().unwrap_or_else(|| changed_alert(&self.id))
    }
}

/// What the topic of states says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AlertStates {
    /// What is known of each alert, by name.
    pub alerts: BTreeMap<String, AlertState>,
    /// Who judges, if anybody ever did.
    pub judge: Option<Judge>,
    /// What is not delivered yet, by number.
    pub undelivered: BTreeMap<u64, Undelivered>,
    /// The number of the last notification.
    pub notified: u64,
}

/// A record of the topic of states: its key, and its value or that it is deleted.
pub type StateRecord = (Vec<u8>, Option<Vec<u8>>);

impl AlertStates {
    /// Takes the next record of the topic. One that this build does not understand says nothing.
    pub fn take(&mut self, key: Option<&[u8]>, payload: Option<&[u8]>) {
        let Some(key) = key.and_then(|key| std::str::from_utf8(key).ok()) else { return };
        if let Some(name) = key.strip_prefix(STATE) {
            match payload {
                None => drop(self.alerts.remove(name)),
                Some(bytes) => {
                    self.alerts.extend(serde_json::from_slice(bytes).ok().map(|state| (name.to_owned(), state)))
                }
            }
        } else if let Some(number) = undelivered_number(key) {
            self.notified = self.notified.max(number);
            match payload {
                None => drop(self.undelivered.remove(&number)),
                Some(bytes) => self.undelivered.extend(serde_json::from_slice(bytes).ok().map(|of| (number, of))),
            }
        } else if key == JUDGE {
            self.judge = payload.and_then(|bytes| serde_json::from_slice(bytes).ok());
        }
    }

    /// What has to be posted no more, so that at most `most` notifications wait once `records` are taken, or as many as there are alerts of
    /// which receivers have to hear: their numbers, and the ids of their changes. The oldest go first; those that are the newest of their alerts
    /// stay, and so does `posting`, which is being posted. An alert that was declared otherwise is another one to receivers if its labels are
    /// others. It looks at what waits only if that is too much, and else at the records alone.
    pub fn superfluous(&self, records: &[StateRecord], most: usize, posting: Option<u64>) -> Vec<(u64, String)> {
        let changed = changed_notifications(records);
        let waits = |number: &u64| self.undelivered.contains_key(number);
        let added = changed.iter().filter(|(number, of)| of.is_some() && !waits(number)).count();
        let gone = changed.iter().filter(|(number, of)| of.is_none() && waits(number)).count();
        let excess = (self.undelivered.len() + added - gone).saturating_sub(most);
        if excess == 0 {
            return Vec::new();
        }
        let known = self.undelivered.iter().filter(|(number, _)| !changed.contains_key(*number));
        let written = changed.iter().filter_map(|(number, of)| Some((number, of.as_ref()?)));
        let owed: BTreeMap<u64, &Undelivered> = known.chain(written).map(|(number, of)| (*number, of)).collect();
        // In the order of the numbers, so that the last of an alert stands.
        let newest: BTreeMap<&str, u64> = owed.iter().map(|(number, of)| (of.known_by(), *number)).collect();
        let stays =
            |number: u64, of: &Undelivered| Some(number) == posting || newest.get(of.known_by()) == Some(&number);
        let older = owed.iter().filter(|(number, of)| !stays(**number, of));
        older.take(excess).map(|(number, of)| (*number, of.id.clone())).collect()
    }
}

/// What records say of notifications, the last of each: that it has to be posted, or that it was. One that this build does not understand says
/// nothing.
fn changed_notifications(records: &[StateRecord]) -> BTreeMap<u64, Option<Undelivered>> {
    let mut changed: BTreeMap<u64, Option<Undelivered>> = BTreeMap::new();
    for (key, payload) in records {
        let Some(number) = std::str::from_utf8(key).ok().and_then(undelivered_number) else { continue };
        match payload {
            None => drop(changed.insert(number, None)),
            Some(bytes) => changed.extend(serde_json::from_slice(bytes).ok().map(|of| (number, Some(of)))),
        }
    }
    changed
}

/// The record that says who judges.
pub fn judge_record(judge: &Judge) -> StateRecord {
    (JUDGE.as_bytes().to_vec(), Some(json(judge)))
}

/// The record that says what is known of an alert; `None`: it is not declared any more.
pub fn state_record(alert: &str, state: Option<&AlertState>) -> StateRecord {
    (format!("{STATE}{alert}").into_bytes(), state.map(json))
}

/// The record of a notification that has to be posted.
pub fn undelivered_record(undelivered: &Undelivered) -> StateRecord {
    (undelivered_key(undelivered.number), Some(json(undelivered)))
}

/// The record that says that it was posted.
pub fn delivered_record(number: u64) -> StateRecord {
    (undelivered_key(number), None)
}

/// The number of a notification, by its key.
fn undelivered_number(key: &str) -> Option<u64> {
    key.strip_prefix(UNDELIVERED)?.parse().ok()
}

fn undelivered_key(number: u64) -> Vec<u8> {
    format!("{UNDELIVERED}{number}").into_bytes()
}

fn json(of: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(of).expect("what is noted is plain data")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::alert::change_id;
    use crate::catalog::DefinitionHash;

    #[test]
    fn what_is_written_is_read_again() {
        let state = AlertState::new(DefinitionHash::of_none(), BTreeMap::new(), 7);
        let judge = Judge { process: "p".to_owned(), beat: 3, resigned: false };
        let owed = |number| Undelivered { id: format!("d/a/7/{number}"), number, body: json!({"version": "4"}) };
        let mut records = vec![
            state_record("a", Some(&state)),
            state_record("gone", Some(&state)),
            judge_record(&judge),
            undelivered_record(&owed(1)),
            undelivered_record(&owed(2)),
            state_record("gone", None),
            delivered_record(1),
            (b"later/x".to_vec(), Some(b"{}".to_vec())),
        ];
        records.push((b"alert/broken".to_vec(), Some(b"no JSON".to_vec())));
        let mut states = AlertStates::default();
        records.iter().for_each(|(key, payload)| states.take(Some(key), payload.as_deref()));
        let expected = AlertStates {
            alerts: BTreeMap::from([("a".to_owned(), state)]),
            judge: Some(judge),
            undelivered: BTreeMap::from([(2, owed(2))]),
            notified: 2,
        };
        assert_eq!(states, expected);
    }

    #[test]
    fn of_what_waits_the_oldest_goes_and_the_newest_of_each_alert_stays() {
        let owed = |alert: &str, number| {
            let id = change_id("d", alert, 7, number);
            undelivered_record(&Undelivered { id, number, body: json!({"version": "4"}) })
        };
        let mut states = AlertStates::default();
        for (key, payload) in [owed("quiet", 1), owed("busy", 2), owed("busy", 3), owed("busy", 4)] {
            states.take(Some(&key), payload.as_deref());
        }
        let gone = |records: &[StateRecord], most, posting| {
            let superfluous = states.superfluous(records, most, posting);
            superfluous.into_iter().map(|(number, _)| number).collect::<Vec<_>>()
        };
        assert_eq!(gone(&[], 4, None), [0; 0]);
        assert_eq!(gone(&[], 3, None), [2]);
        assert_eq!(gone(&[], 2, None), [2, 3]);
        assert_eq!(gone(&[], 2, Some(2)), [3], "what is being posted stays");
        assert_eq!(gone(&[], 1, None), [2, 3], "the newest of an alert stays, however many alerts there are");
        assert_eq!(gone(&[owed("quiet", 5), owed("busy", 6)], 4, None), [1, 2]);
        assert_eq!(gone(&[owed("busy", 5), delivered_record(1)], 3, None), [2]);
        assert_eq!(gone(&[delivered_record(2)], 3, None), [0; 0], "it waits no more");
        assert_eq!(gone(&[owed("busy", 5), delivered_record(5), delivered_record(9)], 3, None), [2], "it never waited");
        let broken = (undelivered_key(6), Some(b"no JSON".to_vec()));
        assert_eq!(gone(&[owed("busy", 4), broken], 4, None), [0; 0], "none that does not wait already");
        assert_eq!(states.superfluous(&[], 3, None), [(2, "d/busy/7/2".to_owned())]);
    }

    #[test]
    fn what_resolves_an_alert_by_its_labels_of_before_stays_where_it_fires_by_others() {
        let owed = |number: u64, fingerprint: &str| {
            let (id, body) = (change_id("d", "a", 7, number), json!({"alerts": [{"fingerprint": fingerprint}]}));
            undelivered_record(&Undelivered { id, number, body })
        };
        let mut states = AlertStates::default();
        for (key, payload) in [owed(1, "before"), owed(2, "now"), owed(3, "now")] {
            states.take(Some(&key), payload.as_deref());
        }
        let gone = states.superfluous(&[owed(4, "now")], 2, None).into_iter().map(|(number, _)| number);
        assert_eq!(
            gone.collect::<Vec<_>>(),
            [2, 3],
            "nothing else tells the receiver that the one of before is resolved"
        );
    }
}
