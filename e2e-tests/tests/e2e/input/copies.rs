//! Records that share an event id.

use e2e_tests::scenario;
use e2e_tests::scenario::now_us;
use e2e_tests::time::rfc3339;
use serde_json::json;

use super::measurements::Measurements;

const DAY_MS: i64 = 86_400_000;
const WINDOW: i64 = 100;

#[test]
fn same_identity_again() {
    scenario("same_identity_again", async |scenario| {
        let Some(measurements) = Measurements::start(scenario, WINDOW).await? else { return Ok(()) };
        let at = now_us() / 1000;
        let event = |id: &str, site: &str, at: i64, amount: i64| {
            json!({"id": id, "at": at, "site": site, "amount": amount}).to_string().into_bytes()
        };
        // The same id with another payload: only the first record counts.
        measurements.send_to(0, &event("payload", "payload", at, 1))?;
        measurements.send_to(0, &event("payload", "payload", at, 2))?;
        measurements.send_to(0, &event("payload", "elsewhere", at, 3))?;
        // Another day: another event.
        measurements.send_to(0, &event("day", "day", at, 1))?;
        measurements.send_to(0, &event("day", "day", at - DAY_MS, 2))?;
        // The same instant, written in another way: the same event.
        measurements.send_to(0, &event("instant", "instant", at, 1))?;
        let same = json!({"id": "instant", "at": rfc3339(at * 1000), "site": "instant", "amount": 2});
        measurements.send_to(0, same.to_string().as_bytes())?;
        // Beyond the window, and in another partition: counted until the next reconcile.
        measurements.send_to(0, &event("far", "far", at, 1))?;
        measurements.send_to(1, &event("partition", "partition", at, 1))?;
        measurements.flush()?;
        for n in 0..WINDOW {
            measurements.send_to(0, &event(&format!("filler-{n}"), "filler", at, 1))?;
        }
        measurements.send_to(0, &event("far", "far", at, 2))?;
        measurements.send_to(0, &event("partition", "partition", at, 2))?;
        measurements.flush()?;
        measurements.counted().await?;
        let expected = [
            // site, events and amount in the speed view, and in the batch view
            ("payload", (1, 1), (1, 1)),
            ("elsewhere", (0, 0), (0, 0)),
            ("day", (2, 3), (2, 3)),
            ("instant", (1, 1), (1, 1)),
            ("far", (2, 3), (1, 1)),
            // The batch layer keeps the copy in the smaller partition, whichever arrived first.
            ("partition", (2, 3), (1, 2)),
            ("filler", (WINDOW, WINDOW), (WINDOW, WINDOW)),
        ];
        for (site, speed, _) in expected {
            measurements.exact(site, |answer| Ok((answer.int("events")?, answer.int("amount")?) == speed)).await?;
        }
        measurements.reconciled().await?;
        for (site, _, batch) in expected {
            measurements.exact(site, |answer| Ok((answer.int("events")?, answer.int("amount")?) == batch)).await?;
        }
        // Again after the reconcile: only copies, most of them of events that only the batch view holds.
        for id in ["payload", "far", "partition", "instant"] {
            measurements.send_to(0, &event(id, id, at, 9))?;
        }
        measurements.flush()?;
        measurements.counted().await?;
        measurements.reconciled().await?;
        for (site, _, batch) in expected {
            measurements.exact(site, |answer| Ok((answer.int("events")?, answer.int("amount")?) == batch)).await?;
        }
        measurements.stage.ran_without_trouble()
    });
}
