//! A random log with late, early and unordered events, copies and broken records: every stream writes exactly what the oracle says,
//! late events stand in its side output, and a metric counts what it has written.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use e2e_tests::scenario::now_us;
use e2e_tests::{busy_scenario, stage};
use test_kit::repetitions;

use super::payments::{Kind, Mix, Payments};

const PARTITIONS: i32 = 4;
/// The metric over the alerts.
const METRIC: &str = "alerts";

#[test]
fn streams_of_every_kind() {
    busy_scenario("streams_of_every_kind", async |scenario| {
        let setup = Payments::setup(scenario, PARTITIONS).running(&stage::LAYERS).without_kills();
        let Some(stage) = setup.start_on_real_kafka().await? else { return Ok(()) };
        let mut payments = Payments::of(stage, PARTITIONS, Mix::Usual)?;
        // In parts, so that lanes meet them in batches of any size.
        for _ in 0..repetitions(5, 20) {
            payments.send(500)?;
        }
        payments.are_written().await?;
        for kind in Kind::ALL {
            let written = payments.stream(kind).read(&payments.stage.brokers)?;
            let late = written.iter().filter(|written| written.is_late).count();
            let outputs = written.len() - late;
            ensure!(outputs > 20 && (late > 0) == kind.has_late(), "{kind:?}: {outputs} outputs, {late} late");
        }
        is_counted(&payments).await?;
        payments.stage.deployment.reconcile().await?;
        payments.stage.client()?.authoritative_total(METRIC, &[]).await?;
        is_counted(&payments).await?;
        payments.stage.ran_without_trouble()?;
        payments.end_exactly().await
    });
}

/// The metric counts every alert once.
async fn is_counted(payments: &Payments) -> Result<()> {
    let mut by_rule: BTreeMap<String, i64> = BTreeMap::new();
    let written = payments.stream(Kind::Alerts).read(&payments.stage.brokers)?;
    for written in written.iter().filter(|written| !written.is_late) {
        let alert = written.json()?;
        *by_rule.entry(alert["rule"].as_str().context("an alert without a rule")?.to_owned()).or_default() += 1;
    }
    ensure!(by_rule.len() == 3, "not every rule has alerted: {by_rule:?}");
    let (client, moment) = (payments.stage.client()?, now_us());
    for (rule, count) in &by_rule {
        let answer = client.total_as_of(moment, METRIC, &[("rule", rule.clone())]).await?;
        ensure!(answer.int("alerts")? == *count, "{rule} was written {count} times: {answer:?}");
    }
    let all = client.total(METRIC, &[]).await?;
    ensure!(all.int("alerts")? == by_rule.values().sum::<i64>(), "{by_rule:?}: {all:?}");
    Ok(())
}
