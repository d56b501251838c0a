//! What an operator types: `braid send` says of its lines what the archive says of the records, and `braid query` and
//! `braid status` show what the serving layer answers.

use anyhow::{Context, Result, ensure};
use e2e_tests::oracle::EVER;
use e2e_tests::scenario::now_us;
use e2e_tests::views::{METRIC, Mix, Sent};
use e2e_tests::{Oracle, Stage, scenario};
use serde_json::Value;
use test_kit::DEADLINE;

const LINES: usize = 500;

#[test]
fn hand_typed() {
    scenario("hand_typed", async |scenario| {
        let stage = Stage::of(scenario).start().await?;
        let views = stage.views(20, Mix { broken: 0.1, ..Mix::USUAL });
        // An empty line is no record.
        let sent: Vec<Sent> = views.filter(|sent| !sent.record.payload.is_empty()).take(LINES).collect();
        let mut oracle = Oracle::default();
        oracle.observe(&sent);
        let lines: Vec<&[u8]> = sent.iter().map(|sent| sent.record.payload.as_slice()).collect();
        let file = scenario.dir().join("views.ndjson");
        std::fs::write(&file, lines.join(&b'\n'))?;

        let told = braid(&stage, &["send", "--source", METRIC, &file.to_string_lossy()]).await?;
        ensure!(told.contains(&format!("sent {LINES} records to topic {}", stage.topic)), "{told}");
        ensure!(told.contains(&format!("the catalog rejects {}: ", oracle.broken)), "{told}");
        stage.total_as_of(now_us()).await?;
        stage.is_exact(&oracle).await?;
        stage.archived().await?;
        let status = stage.status().await?;
        let rejects = status["rejects"].as_array().context("no rejects")?;
        ensure!(!rejects.is_empty(), "nothing was rejected: {status}");
        for reject in rejects {
            let reason = reject["reason"].as_str().context("no reason")?;
            let of_reason = format!(" {} {reason} (first on line ", reject["count"]);
            ensure!(told.contains(&of_reason), "{of_reason:?} is not in {told}");
        }

        stage.deployment.reconcile().await?;
        stage.authoritative_total().await?;
        queries_show_the_answer(&stage, &oracle).await?;
        status_shows_every_layer(&stage).await
    });
}

async fn queries_show_the_answer(stage: &Stage, oracle: &Oracle) -> Result<()> {
    let url = stage.client()?.url().to_owned();
    let query = async |more: &[&str]| braid(stage, &[&["query", METRIC, "--http", url.as_str()], more].concat()).await;
    let total = oracle.total(None, EVER);

    let json: Value = serde_json::from_str(&query(&[]).await?).context("not a terminal, so it is JSON")?;
    ensure!(json["values"]["views"] == total.views && json["values"]["dwell_ms"] == total.dwell_ms, "{json}");
    let csv = query(&["--output", "csv"]).await?;
    let (header, row) = csv.split_once("\r\n").context("one line")?;
    ensure!(header == "views,dwell_ms,avg_dwell_ms,complete,authoritative,as_of", "{csv:?}");
    ensure!(row.starts_with(&format!("{},{},", total.views, total.dwell_ms)), "{csv:?}");
    ensure!(row.contains(",true,true,") && row.ends_with("\r\n"), "{csv:?}");
    let table = query(&["--output", "table"]).await?;
    ensure!(table.starts_with("views, all time, grain 1m\n\n"), "{table}");
    ensure!(table.contains(&format!("batch: views {}, dwell_ms ", total.views)), "{table}");

    let series = query(&["--step", "1h", "--output", "csv"]).await?;
    let views = series.lines().skip(1).map(|line| line.split(',').nth(2).unwrap_or_default().parse::<i64>());
    let views: i64 = views.sum::<Result<i64, _>>().with_context(|| series.clone())?;
    ensure!(views == total.views, "the steps have {views} views: {series}");

    let refused = braid(stage, &["query", "nothing", "--http", &url]).await;
    ensure!(refused.is_err(), "there is no such metric: {refused:?}");
    Ok(())
}

async fn status_shows_every_layer(stage: &Stage) -> Result<()> {
    let url = stage.client()?.url().to_owned();
    let page = braid(stage, &["status", "--http", &url]).await?;
    ensure!(page.contains(&format!("source views, topic {}, log ", stage.topic)), "{page}");
    ensure!(page.contains("partition  cursor") && page.contains("\nrejected "), "{page}");
    let json: Value = serde_json::from_str(&braid(stage, &["status", "--http", &url, "--output", "json"]).await?)?;
    ensure!(json["status"]["sources"][0]["name"] == METRIC && json["metrics"][0]["name"] == METRIC, "{json}");
    let tables = braid(stage, &["status", "--tables"]).await?;
    ensure!(tables.contains("archive views: version ") && tables.contains("view views: version "), "{tables}");
    ensure!(tables.contains(&format!(", {LINES} rows in ")), "{tables}");
    Ok(())
}

async fn braid(stage: &Stage, arguments: &[&str]) -> Result<String> {
    stage.deployment.braid(arguments, DEADLINE).await
}
