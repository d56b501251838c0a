//! Every way in which a line can be bad, in every format of texts, among lines that are not: `braid send` says the reason, every layer
//! leaves the line out, the archive has its bytes with the reason, and `/v1/status` counts it and says where the last one lies.
//!
//! - `lines`: the lines of each format.

mod lines;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use e2e_tests::scenario::now_us;
use e2e_tests::views::NEVER;
use e2e_tests::{Answer, Archive, Client, Stage, scenario};
use test_kit::DEADLINE;

use self::lines::{FORMATS, Line, fields, lines};

#[test]
fn every_bad_line() {
    scenario("every_bad_line", async |scenario| {
        let mut setup = Stage::of(scenario).catalog(catalog).without_kills();
        for format in FORMATS {
            setup = setup.topic(&format!("-{format}"), 1, &[]);
        }
        let stage = setup.start().await?;
        let client = stage.client()?;
        let mut sent = Vec::new();
        for format in FORMATS {
            let lines = lines(format, stage.now_us)?;
            let file = scenario.dir().join(format);
            let texts: Vec<&[u8]> = lines.iter().map(|line| line.text.as_slice()).collect();
            std::fs::write(&file, texts.join(&b'\n'))?;
            let file = file.to_string_lossy();
            let told = stage.deployment.braid(&["send", "--source", format, &file], DEADLINE).await?;
            is_told(&told, &lines).with_context(|| format.to_owned())?;
            sent.push((format, lines));
        }
        let arrived = now_us();
        for (format, lines) in &sent {
            is_exact(&client.total_as_of(arrived, format, &[]).await?, lines).context("in the speed view")?;
        }
        stage.deployment.reconcile().await?;
        for (format, lines) in &sent {
            is_exact(&client.authoritative_total(format, &[]).await?, lines).context("in the batch view")?;
            is_archived(&stage, format, lines).with_context(|| format!("the archive of {format}"))?;
            is_shown(&client, format, lines).await.with_context(|| format!("the status of {format}"))?;
        }
        stage.ran_without_trouble()
    });
}

/// The positions of the bad lines by reason.
fn rejected(lines: &[Line]) -> BTreeMap<&'static str, Vec<usize>> {
    let mut rejected = BTreeMap::<_, Vec<usize>>::new();
    for (at, line) in lines.iter().enumerate() {
        if let Some(error) = line.error {
            rejected.entry(error.split(':').next().unwrap_or_default()).or_default().push(at);
        }
    }
    rejected
}

/// `braid send` has sent all of them, and says how many the catalog rejects, with the first of each reason.
fn is_told(told: &str, lines: &[Line]) -> Result<()> {
    let rejected = rejected(lines);
    let count: usize = rejected.values().map(Vec::len).sum();
    for what in [format!("sent {} records to topic ", lines.len()), format!("; the catalog rejects {count}: ")] {
        ensure!(told.contains(&what), "{what:?} is not in {told}");
    }
    for (reason, positions) in &rejected {
        let first = positions[0];
        let line_ends = |line: &Line| 1 + line.text.iter().filter(|byte| **byte == b'\n').count();
        let number = 1 + lines[..first].iter().map(line_ends).sum::<usize>();
        let field = lines[first].error.and_then(|error| error.split_once(':'));
        let field = field.map_or_else(String::new, |(_, field)| format!(", field {field}"));
        let what = format!(" {} {reason} (first on line {number}{field})", positions.len());
        ensure!(told.contains(&what), "{what:?} is not in {told}");
    }
    Ok(())
}

/// The good lines are counted, each of which has 1 as its number.
fn is_exact(answer: &Answer, lines: &[Line]) -> Result<()> {
    let good = i64::try_from(lines.iter().filter(|line| line.error.is_none()).count())?;
    ensure!(answer.int("lines")? == good && answer.int("n")? == good, "{good} lines are good: {answer:?}");
    Ok(())
}

/// Each line is archived once, in the order of the file, with all of its bytes.
fn is_archived(stage: &Stage, format: &str, lines: &[Line]) -> Result<()> {
    let rows = Archive::rows(&stage.deployment.store(), format, &["_offset", "_raw", "_error"])?;
    let (offsets, errors) = (rows.column("_offset")?.i64()?, rows.column("_error")?.str()?);
    let raws = rows.column("_raw")?.binary()?;
    let mut archived = BTreeMap::new();
    for row in 0..rows.height() {
        let offset = offsets.get(row).context("no offset")?;
        archived.insert(offset, (errors.get(row), raws.get(row).unwrap_or_default()));
    }
    ensure!(
        archived.len() == lines.len() && rows.height() == lines.len(),
        "{} rows of {} lines",
        rows.height(),
        lines.len()
    );
    for ((error, raw), line) in archived.values().zip(lines) {
        let text = line.text.escape_ascii();
        ensure!(*error == line.error, "{text}: {error:?}, not {:?}", line.error);
        ensure!(*raw == line.text, "{text} is archived as {}", raw.escape_ascii());
    }
    Ok(())
}

/// The status counts the bad lines by reason, with the last of each.
async fn is_shown(client: &Client, format: &str, lines: &[Line]) -> Result<()> {
    let (_, status) = client.get("/v1/status", &[]).await?;
    let sources = status["sources"].as_array().context("no sources")?;
    let source = sources.iter().find(|source| source["name"] == format).context("the source is not shown")?;
    let rejects = source["rejects"].as_array().context("no rejects")?;
    let rejected = rejected(lines);
    ensure!(rejects.len() == rejected.len(), "{rejected:?} are shown as {rejects:?}");
    for (reason, positions) in &rejected {
        let shown = rejects.iter().find(|shown| shown["reason"] == *reason);
        let shown = shown.with_context(|| format!("{reason} is not shown: {rejects:?}"))?;
        let last = positions[positions.len() - 1];
        let is_last = shown["last"]["offset"] == last && shown["last"]["error"].as_str() == lines[last].error;
        ensure!(shown["count"] == positions.len() && is_last, "{reason} of {positions:?} is shown as {shown}");
    }
    Ok(())
}

fn catalog(topic: &str) -> String {
    let mut catalog =
        format!("[pipeline]\nname = \"{topic}\"\nversion = \"v1\"\n\n[schedule]\nreconcile = \"{NEVER}\"\n");
    for format in FORMATS {
        let fields = fields(format);
        catalog += &format!(
            r#"
[sources.{format}]
topic = "{topic}-{format}"
partitions = 1
format = "{format}"
event_time = "at"
max_age = "10d"
max_record = "1KiB"
[sources.{format}.fields]{fields}
[metrics.{format}]
source = "{format}"
by = ["site"]
grain = "1h"
[metrics.{format}.measures]
lines = "count()"
n = "sum(n)"
"#
        );
    }
    catalog
}
