//! Nested events of a tracker: CloudEvents with odd names in them, missing countries, duplicates, and a few broken lines.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use e2e_tests::scenario::now_us;
use e2e_tests::stranger::Stranger;
use e2e_tests::time::rfc3339;
use e2e_tests::{Kafka, Scenario, Up, busy_scenario};
use rand::Rng;
use rand::rngs::StdRng;

const LINES: usize = 300_000;
const FILE: &str = "tracker.ndjson";
const KINDS: [&str; 4] = ["page.view", "click", "purchase", "sign.up"];
const COUNTRIES: [Option<&str>; 6] = [Some("DE"), Some("FR"), Some("US"), Some("BR"), Some("NA"), None];
/// The field that `braid init` makes of the country's place.
const COUNTRY: &str = "data_context_geo_country";
/// Sources number their events each for itself.
const SOURCES: [&str; 2] = ["/web", "/app"];
const BROKEN: [&str; 5] =
    ["{", "[1,2]", "\"text\"", r#"{"specversion":"1.0","source":"/web","id":"x"}"#, "{\"time\":\"soon\"}"];
const BROKEN_EVERY: usize = 5_000;
const DAY_US: i64 = 86_400_000_000;

/// What was counted of some events. Revenue is in quarters, of which sums are exact.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Count {
    events: i64,
    quarters: i64,
}

/// What the file holds.
#[derive(Default)]
struct Expected {
    /// By kind and country, each event once.
    counts: BTreeMap<(&'static str, Option<&'static str>), Count>,
    broken: usize,
}

#[test]
fn strangers_hour_with_a_tracker() {
    busy_scenario("strangers_hour_with_a_tracker", async |scenario| {
        if !Kafka::can_be_real(scenario.name())? {
            return Ok(());
        }
        let expected = write(scenario, &scenario.dir().join(FILE))?;
        let stranger = Stranger::init(scenario.dir(), FILE, "tracker").await?;
        stranger.says(&[
            r#"event_id = ["source", "id"]"#,
            r#"event_time = "time""#,
            r#"data_user_first_name = { type = "string", path = "data.user.first-name" }"#,
            r#"data_context_page_url = { type = "string", path = ["data", "context", "page.url"] }"#,
            r#"data_context_geo_country = { type = "string?", path = "data.context.geo.country" }"#,
            r#"by = ["type", "data_context_geo_country"]"#,
            r#"data_revenue = "sum(data_revenue)""#,
        ])?;
        let up = stranger.up("child").await?;
        let told = stranger.send(&up, FILE, FILE).await?;
        ensure!(told.contains(&format!("the catalog rejects {}: ", expected.broken)), "{told}");
        every_total_is_right(&stranger, &up, &expected).await.context("speed and batch")?;
        stranger.reconciled(&up).await?;
        every_total_is_right(&stranger, &up, &expected).await.context("batch alone")
    });
}

async fn every_total_is_right(stranger: &Stranger, up: &Up, expected: &Expected) -> Result<()> {
    let of_kind = |kind: &str| format!("type={kind}");
    let of_country = |country: Option<&str>| match country {
        Some(country) => format!("{COUNTRY}={country}"),
        None => format!("{COUNTRY}.missing=true"),
    };
    expected.is(stranger, up, &[], |_, _| true).await?;
    for kind in KINDS {
        expected.is(stranger, up, &[&of_kind(kind)], |of, _| of == kind).await?;
    }
    for country in COUNTRIES {
        expected.is(stranger, up, &[&of_country(country)], |_, of| of == country).await?;
    }
    let (kind, country) = (KINDS[2], COUNTRIES[5]);
    expected.is(stranger, up, &[&of_kind(kind), &of_country(country)], |of, place| of == kind && place == country).await
}

impl Expected {
    /// The total of a key is that of the kinds and countries which belong to it.
    async fn is(
        &self,
        stranger: &Stranger,
        up: &Up,
        key: &[&str],
        belongs: impl Fn(&str, Option<&str>) -> bool,
    ) -> Result<()> {
        let mut expected = Count::default();
        for (_, count) in self.counts.iter().filter(|((kind, country), _)| belongs(kind, *country)) {
            expected.events += count.events;
            expected.quarters += count.quarters;
        }
        let values = stranger.total(up, key).await?;
        let revenue = values["data_revenue"].as_f64().with_context(|| format!("no revenue in {values}"))?;
        let is_right = values["tracker"] == expected.events && revenue == expected.quarters as f64 / 4.0;
        ensure!(is_right, "{key:?} is {values}, and the file has {expected:?}");
        Ok(())
    }
}

/// Writes the file.
fn write(scenario: &Scenario, path: &Path) -> Result<Expected> {
    let (mut rng, now_us) = (scenario.rng(), now_us());
    let mut file = BufWriter::new(File::create(path)?);
    let mut expected = Expected::default();
    let (mut at_us, mut last) = (0, Vec::new());
    for n in 0..LINES {
        if n % BROKEN_EVERY == BROKEN_EVERY / 2 {
            writeln!(file, "{}", BROKEN[n / BROKEN_EVERY % BROKEN.len()])?;
            expected.broken += 1;
        }
        // Events of different sources have the same number and the same time.
        if n % SOURCES.len() == 0 {
            at_us = now_us - rng.random_range(0..20 * DAY_US);
        }
        let line = event(&mut rng, &mut expected, n, at_us);
        writeln!(file, "{line}")?;
        // A copy comes soon after, or much later.
        if n % 50 == 0 {
            last.push(line);
        }
        if n % 100 == 99 {
            writeln!(file, "{}", last[rng.random_range(0..last.len())])?;
        }
    }
    file.flush()?;
    Ok(expected)
}

/// One event, which is counted.
fn event(rng: &mut StdRng, expected: &mut Expected, n: usize, at_us: i64) -> String {
    let (kind, country) = (KINDS[rng.random_range(0..KINDS.len())], COUNTRIES[rng.random_range(0..COUNTRIES.len())]);
    let quarters = if kind == "purchase" { rng.random_range(1..1_000) } else { 0 };
    let count = expected.counts.entry((kind, country)).or_default();
    *count = Count { events: count.events + 1, quarters: count.quarters + quarters };
    let geo = match country {
        Some(name) => format!(r#""geo":{{"country":"{name}"}},"#),
        // A value can be missing in three ways.
        None => ["", r#""geo":{},"#, r#""geo":{"country":null},"#][n % 3].to_owned(),
    };
    let revenue = if quarters == 0 { String::new() } else { format!(r#","revenue":{}"#, quarters as f64 / 4.0) };
    let (source, id, time, user) = (SOURCES[n % 2], n / 2, rfc3339(at_us), rng.random_range(0..90_000));
    format!(
        r#"{{"specversion":"1.0","source":"{source}","id":"{id}","type":"{kind}","time":"{time}","data":{{"user":{{"id":{user},"first-name":"Zo\u00eb \"{n}\""}},"context":{{{geo}"page.url":"/p/{n}?q=a,b"}},"items":[{{"sku":"s-1"}}]{revenue}}}}}"#
    )
}
