//! A table that a database wrote as CSV: quotes, line breaks within them, marks of absent values, times without a zone. A second
//! file has the same columns in another order, one more, and some rows of the first again.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use chrono::DateTime;
use e2e_tests::scenario::now_us;
use e2e_tests::stranger::Stranger;
use e2e_tests::{Kafka, Scenario, Up, scenario};
use rand::Rng;
use rand::rngs::StdRng;

/// How many rows each file has, and how many of them the second one repeats.
const ROWS: usize = 10_000;
const REPEATED: usize = 500;
const FILES: [&str; 2] = ["export.csv", "later.csv"];
const HEADERS: [&str; 2] =
    ["Event ID,Placed At,Country,Net Amount,Note", "Note,Net Amount,Internal,\"Country\",Placed At,Event ID"];
const COUNTRIES: [&str; 4] = ["DE", "FR", "\\N", "\"US, the\"\"\""];
/// Rows with too many columns, too few, and an amount that is none.
const BROKEN: [&str; 3] = ["1,2,3,4,5,6,7,8", "1,2", "x,2026-01-01 00:00:00,DE,much,"];
const BROKEN_EVERY: usize = 1_500;
const DAY_US: i64 = 86_400_000_000;

/// The columns of a row as they are written.
#[derive(Clone)]
struct Row {
    id: String,
    at: String,
    country: &'static str,
    amount: String,
    note: String,
}

/// What was counted of some rows. Amounts are in quarters, of which sums are exact.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Count {
    rows: i64,
    quarters: i64,
}

/// What the files hold.
#[derive(Default)]
struct Expected {
    counts: BTreeMap<Option<String>, Count>,
    /// Ids and times: a row that is repeated counts once.
    seen: BTreeSet<(String, String)>,
    broken: usize,
}

#[test]
fn strangers_hour_with_an_export() {
    scenario("strangers_hour_with_an_export", async |scenario| {
        let Some(brokers) = Kafka::shared_real(scenario.name()).await? else { return Ok(()) };
        let mut expected = Expected::default();
        for (file, text) in FILES.iter().zip(files(scenario)?) {
            std::fs::write(scenario.dir().join(file), &text)?;
            expected.add(&text)?;
        }
        let source = scenario.unique_name().replace('-', "_");
        let stranger = Stranger::init(scenario.dir(), FILES[0], &source).await?;
        stranger.says(&[
            r#"event_id = "event_id""#,
            r#"event_time = "placed_at""#,
            r#"time_zone = "UTC""#,
            r#"null = ["", "\\N", "NA"]"#,
            r#"net_amount = { type = "float?", path = ["Net Amount"] }"#,
            r#"by = ["Country"]"#,
        ])?;
        let up = stranger.up(&brokers).await?;
        let mut rejected = 0;
        for file in FILES {
            rejected += rejects(&stranger.send(&up, FILES[0], file).await?)?;
        }
        ensure!(rejected == expected.broken, "{rejected} rows were rejected, and {} are broken", expected.broken);
        every_total_is_right(&stranger, &up, &expected).await.context("speed and batch")?;
        stranger.reconciled(&up).await?;
        every_total_is_right(&stranger, &up, &expected).await.context("batch alone")
    });
}

/// How many rows `braid send` says that the catalog rejects.
fn rejects(told: &str) -> Result<usize> {
    let (_, rest) = told.split_once("the catalog rejects ").with_context(|| told.to_owned())?;
    let (count, _) = rest.split_once(':').with_context(|| told.to_owned())?;
    Ok(count.replace(',', "").parse()?)
}

async fn every_total_is_right(stranger: &Stranger, up: &Up, expected: &Expected) -> Result<()> {
    let mut all = Count::default();
    for (country, count) in &expected.counts {
        all.rows += count.rows;
        all.quarters += count.quarters;
        let key = match country {
            Some(country) => format!("Country={country}"),
            None => "Country.missing=true".to_owned(),
        };
        total_is_right(stranger, up, &[&key], *count).await?;
    }
    total_is_right(stranger, up, &[], all).await
}

async fn total_is_right(stranger: &Stranger, up: &Up, key: &[&str], expected: Count) -> Result<()> {
    let values = stranger.total(up, key).await?;
    let amount = values["net_amount"].as_f64().with_context(|| format!("no amount in {values}"))?;
    let is_right = values[&stranger.source] == expected.rows && amount == expected.quarters as f64 / 4.0;
    ensure!(is_right, "{key:?} is {values}, and the files have {expected:?}");
    Ok(())
}

/// The texts of the files.
fn files(scenario: &Scenario) -> Result<[String; 2]> {
    let (mut rng, now_us) = (scenario.rng(), now_us());
    let first = (0..ROWS).map(|n| row(&mut rng, now_us, n)).collect::<Result<Vec<Row>>>()?;
    let new = (ROWS..2 * ROWS - REPEATED).map(|n| row(&mut rng, now_us, n)).collect::<Result<Vec<Row>>>()?;
    let later = [&first[..REPEATED], &new].concat();
    let of_first = |row: &Row| format!("{},{},{},{},{}", row.id, row.at, row.country, row.amount, row.note);
    let of_later = |row: &Row| format!("{},{},\"x,\"\"y\",{},{},{}", row.note, row.amount, row.country, row.at, row.id);
    let text = |header: &str, rows: Vec<String>| {
        let mut text = format!("{header}\n");
        for (n, row) in rows.iter().enumerate() {
            text.push_str(&format!("{row}\n"));
            if n % BROKEN_EVERY == BROKEN_EVERY / 2 {
                text.push_str(&format!("{}\n", BROKEN[n / BROKEN_EVERY % BROKEN.len()]));
            }
        }
        text
    };
    let first = text(HEADERS[0], first.iter().map(of_first).collect());
    Ok([first, text(HEADERS[1], later.iter().map(of_later).collect())])
}

fn row(rng: &mut StdRng, now_us: i64, n: usize) -> Result<Row> {
    let at = DateTime::from_timestamp_micros(now_us - rng.random_range(0..20 * DAY_US)).context("a time")?;
    let quarters: i32 = rng.random_range(-400..40_000);
    let amount = if rng.random_bool(0.1) { "NA".to_owned() } else { (f64::from(quarters) / 4.0).to_string() };
    let note = match n % 5 {
        0 => format!("note {n}"),
        1 => format!("\"note {n}, with a comma\""),
        2 => format!("\"note {n}\non two lines\""),
        3 => format!("\"note \"\"{n}\"\"\r\n\""),
        _ => String::new(),
    };
    let country = COUNTRIES[rng.random_range(0..COUNTRIES.len())];
    Ok(Row { id: format!("o-{n}"), at: at.format("%Y-%m-%d %H:%M:%S").to_string(), country, amount, note })
}

impl Expected {
    /// Counts the rows of a file by hand.
    fn add(&mut self, text: &str) -> Result<()> {
        let mut rows = cells(text).into_iter();
        let header = rows.next().context("no header")?;
        let position = |name: &str| header.iter().position(|column| column == name).context("a column is missing");
        let (id, at) = (position("Event ID")?, position("Placed At")?);
        let (country, amount) = (position("Country")?, position("Net Amount")?);
        for row in rows {
            let quarters = row.get(amount).map(|amount| if amount == "NA" { Ok(0.0) } else { amount.parse::<f64>() });
            let Some(Ok(amount)) = quarters.filter(|_| row.len() == header.len()) else {
                self.broken += 1;
                continue;
            };
            if self.seen.insert((row[id].clone(), row[at].clone())) {
                let country = Some(row[country].clone()).filter(|country| country != "\\N");
                let count = self.counts.entry(country).or_default();
                *count = Count { rows: count.rows + 1, quarters: count.quarters + (amount * 4.0) as i64 };
            }
        }
        Ok(())
    }
}

/// The rows of a table, and the texts of their columns without quotes.
fn cells(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut in_quotes) = (Vec::new(), Vec::new(), String::new(), false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if in_quotes && letters.peek() == Some(&'"') => cell.extend(letters.next()),
            '"' => in_quotes = !in_quotes,
            ',' if !in_quotes => row.push(std::mem::take(&mut cell)),
            '\n' if !in_quotes => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            letter => cell.push(letter),
        }
    }
    rows
}
