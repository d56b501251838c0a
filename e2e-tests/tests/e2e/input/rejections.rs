//! Each reason for which a record can be rejected.

use anyhow::{Context, ensure};
use e2e_tests::kafka::end_offsets;
use e2e_tests::scenario::now_us;
use e2e_tests::time::rfc3339;
use e2e_tests::{Archive, busy_scenario};
use serde_json::json;

use super::measurements::{GOOD, METRIC, Measurements};

const MIB: usize = 1 << 20;
const DAY_MS: i64 = 86_400_000;

#[test]
fn every_rejection() {
    busy_scenario("every_rejection", async |scenario| {
        let Some(mut measurements) = Measurements::start(scenario, 500_000).await? else { return Ok(()) };
        let now_ms = now_us() / 1000;
        let broken: Vec<(&str, Vec<u8>)> = vec![
            ("empty", Vec::new()),
            ("not_utf8", b"{\"id\": \"\xff\xfe\"}".to_vec()),
            ("not_json", b"{\"id\": \"x\", \"at\": ".to_vec()),
            ("not_object", b"[1, 2, 3]".to_vec()),
            ("missing_field:site", measurements.event(json!({"site": null}))),
            ("wrong_type:amount", measurements.event(json!({"amount": "ten"}))),
            ("out_of_range:amount", measurements.event(json!({"amount": 1_u64 << 63}))),
            ("too_long", measurements.event(json!({"note": "n".repeat(2 * MIB)}))),
            ("too_old:at", measurements.event(json!({"at": now_ms - 401 * DAY_MS}))),
            ("too_far_ahead:at", measurements.event(json!({"at": now_ms + 2 * 3_600_000}))),
        ];
        for (_, payload) in &broken {
            measurements.good("north", GOOD / 10)?;
            measurements.send("north", payload)?;
        }
        // An event may hold a mebibyte in a field that no metric reads, and in one that it is counted by.
        let long = measurements.event(json!({"site": "long", "note": "n".repeat(MIB)}));
        measurements.send("long", &long)?;
        let long_site = "s".repeat(9_000);
        for site in [&long_site, &"s".repeat(MIB)] {
            let event = measurements.event(json!({"site": site}));
            measurements.send("long", &event)?;
        }
        let short = format!("{}\tnorth", rfc3339(now_ms * 1000)).into_bytes();
        measurements.send_line(format!("{now_ms}\tnorth\t7").as_bytes())?;
        measurements.send_line(&short)?;
        measurements.flush()?;
        measurements
            .fresh("north", |answer| Ok(answer.int("events")? == GOOD && answer.int("amount")? == GOOD))
            .await?;
        measurements.fresh("long", |answer| Ok(answer.int("events")? == 1)).await?;
        measurements.fresh(&long_site, |answer| Ok(answer.int("events")? == 1)).await?;
        let lines = measurements.client.total_as_of(now_us(), "lines", &[]).await?;
        ensure!(lines.int("n")? == 7 && lines.int("lines")? == 1, "{lines:?}");
        measurements.counted().await?;
        measurements.reconciled().await?;
        measurements
            .exact("north", |answer| Ok(answer.int("events")? == GOOD && answer.int("amount")? == GOOD))
            .await?;
        measurements.exact("long", |answer| Ok(answer.int("events")? == 1)).await?;
        // It is shown, and can be asked for, as it stands in the views.
        let shown = measurements.total(&long_site).await?.key["site"].as_str().context("no site")?.to_owned();
        ensure!(shown.len() == 8_192 && shown.contains('…'), "{} bytes are shown", shown.len());
        for site in [&long_site, &shown] {
            measurements.exact(site, |answer| Ok(answer.int("events")? == 1)).await?;
        }
        measurements.exact("", |answer| Ok(answer.int("events")? == 0)).await?;

        // Archived once each, with its bytes and its reason.
        let archived = measurements.archived(METRIC)?;
        ensure!(archived.len() == broken.len(), "{} rejected rows: {:?}", archived.len(), archived.keys());
        for (error, payload) in &broken {
            let rejected = archived.get(*error).with_context(|| format!("{error} is not archived"))?;
            ensure!(rejected.raw == *payload, "{error} is archived with {} other bytes", rejected.raw.len());
            measurements.is_shown(METRIC, error, rejected).await?;
        }
        let archived = measurements.archived("lines")?;
        let rejected = archived.get("wrong_columns").context("wrong_columns is not archived")?;
        ensure!(archived.len() == 1 && rejected.raw == short, "{archived:?}");
        measurements.is_shown("lines", "wrong_columns", rejected).await?;
        let (store, topic) = (measurements.stage.deployment.store(), &measurements.stage.topic);
        Archive::read(&store, METRIC)?.holds_each_offset_once(&end_offsets(&measurements.stage.brokers, topic)?)?;
        let notes = Archive::rows(&store, METRIC, &["note"])?;
        let longest = notes.column("note")?.str()?.iter().flatten().map(str::len).max();
        ensure!(longest == Some(MIB), "the long note is archived with {longest:?} bytes");
        measurements.stage.ran_without_trouble()
    });
}
