//! A fraud detector as one would write it by hand, which forgets what is too old before it looks at its rules.

use std::collections::HashMap;

use e2e_tests::streams::fraud::distance_km;

/// What it is given.
#[derive(Debug, Clone)]
pub(super) struct Transaction {
    pub(super) id: String,
    pub(super) user: String,
    pub(super) amount: f64,
    /// Latitude and longitude.
    pub(super) place: (f64, f64),
    /// Milliseconds since 1970.
    pub(super) at_ms: i64,
}

/// Processes each transaction event as it arrives.
#[derive(Debug, Default)]
pub(super) struct FraudDetector {
    /// Per user: the recent transactions.
    user_state: HashMap<String, Vec<Transaction>>,
}

impl FraudDetector {
    /// The rules that alert of it.
    pub(super) fn process_event(&mut self, event: &Transaction) -> Vec<&'static str> {
        let mut alerts = Vec::new();
        let history = self.user_state.entry(event.user.clone()).or_default();
        // Keep only the last hour of history.
        history.retain(|t| event.at_ms - t.at_ms < 3_600_000);

        // Rule 1: velocity check, more than 5 transactions in 1 minute.
        let recent = history.iter().filter(|t| event.at_ms - t.at_ms < 60_000).count();
        if recent >= 5 {
            alerts.push("high_velocity");
        }

        // Rule 2: impossible travel.
        if let Some(last) = history.last() {
            let distance = distance_km(last.place, event.place);
            let time_diff_ms = event.at_ms - last.at_ms;
            if distance > 5_000.0 && time_diff_ms < 3_600_000 {
                alerts.push("impossible_travel");
            }
        }

        // Rule 3: amount anomaly, 10x above the user's average.
        let sum: f64 = history.iter().map(|t| t.amount).sum();
        let avg_amount = sum / history.len().max(1) as f64;
        if event.amount > avg_amount * 10.0 && avg_amount > 0.0 {
            alerts.push("amount_anomaly");
        }

        history.push(event.clone());
        alerts
    }
}
