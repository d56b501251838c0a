//! Numbers that leave 64 bits or are not finite, and records with numbers that no event may have.

use anyhow::{Context, Result, ensure};
use e2e_tests::{Answer, busy_scenario};
use serde_json::Value;

use super::measurements::{GOOD, METRIC, Measurements};

/// Integers as they are answered, which are their sites as well; and as they are sent.
const EXACT: [(&str, &str); 5] = [
    ("9007199254740993", "9007199254740993"),
    ("1795305600123456789", "1795305600123456789.0"),
    ("9223372036854775807", "922337203685477580.7e1"),
    ("-9223372036854775808", "-92233720368547758080e-1"),
    ("3", "30e-1"),
];

#[test]
fn arithmetic_poison() {
    busy_scenario("arithmetic_poison", async |scenario| {
        let Some(mut measurements) = Measurements::start(scenario, 500_000).await? else { return Ok(()) };
        let rejected = [
            ("2^63", "\"amount\": 9223372036854775808"),
            ("-2^63-1", "\"amount\": -9223372036854775809"),
            ("1e19", "\"amount\": 1e19"),
            ("1e400", "\"weight\": 1e400"),
            ("NaN", "\"weight\": NaN"),
            ("NaN as text", "\"weight\": \"NaN\""),
        ];
        for (site, member) in rejected {
            measurements.good("north", GOOD / 10)?;
            let payload = measurements.event_text(site, member);
            measurements.send("north", &payload)?;
        }
        for _ in 0..3 {
            let payload = measurements.event_text("huge", "\"weight\": 1e308");
            measurements.send("huge", &payload)?;
        }
        for member in ["\"weight\": -0.0", "\"weight\": 0.0"] {
            let payload = measurements.event_text("zero", member);
            measurements.send("zero", &payload)?;
        }
        // Each is allowed; two of them leave 64 bits.
        for _ in 0..2 {
            let payload = measurements.event_text("full", &format!("\"amount\": {}", i64::MAX));
            measurements.send("full", &payload)?;
        }
        // The digits of an integer stand as they are, however it is written.
        for (site, number) in EXACT {
            let payload = measurements.event_text(site, &format!("\"amount\": {number}"));
            measurements.send(site, &payload)?;
        }
        measurements.good("north", GOOD - GOOD / 10 * i64::try_from(rejected.len())?)?;
        measurements.flush()?;
        let of_good = |answer: &Answer| Ok(answer.int("events")? == GOOD && answer.int("amount")? == GOOD);
        measurements.fresh("north", of_good).await?;
        measurements.counted().await?;
        for round in ["in the speed view", "in the batch view", "a second time"] {
            measurements.exact("north", of_good).await.context(round)?;
            let zero = measurements.total("zero").await?;
            ensure!(zero.int("events")? == 2 && zero.float("weight") == Some(0.0), "{round}: {zero:?}");
            let full = measurements.total("full").await?;
            ensure!(full.int("events")? == 2 && is_overflow(&full, "amount")?, "{round}: {full:?}");
            let huge = measurements.total("huge").await?;
            ensure!(huge.int("events")? == 3 && is_overflow(&huge, "weight")?, "{round}: {huge:?}");
            ensure!(huge.float("heaviest") == Some(1e308), "{round}: {huge:?}");
            // What overflows for one key does so for all together; their counts do not.
            let all = measurements.client.total(METRIC, &[]).await?;
            let exact = i64::try_from(EXACT.len())?;
            ensure!(all.complete && all.int("events")? == GOOD + 2 + 2 + 3 + exact, "{round}: {all:?}");
            ensure!(is_overflow(&all, "amount")? && is_overflow(&all, "weight")?, "{round}: {all:?}");
            for (site, number) in EXACT {
                let answer = measurements.total(site).await?;
                let amount = answer.values.get("amount").map(Value::to_string);
                ensure!(amount.as_deref() == Some(site), "{round}: {number} is {answer:?}");
            }
            for (site, _) in rejected {
                ensure!(measurements.total(site).await?.int("events")? == 0, "{round}: {site} was counted");
            }
            measurements.reconciled().await?;
        }
        // And they do not stand in the way of what comes after.
        measurements.good("north", GOOD)?;
        measurements.flush()?;
        measurements.fresh("north", |answer| Ok(answer.int("events")? == 2 * GOOD)).await?;
        measurements.stage.ran_without_trouble()
    });
}

/// The measure is null, and the answer says why.
fn is_overflow(answer: &Answer, measure: &str) -> Result<bool> {
    let body: Value = serde_json::from_str(&answer.text)?;
    let is_named = body["overflow"].as_array().into_iter().flatten().any(|overflow| {
        overflow["value"] == measure && overflow["reason"].as_str().is_some_and(|reason| reason.contains("64 bits"))
    });
    Ok(answer.values.get(measure).is_some_and(Value::is_null) && is_named)
}
