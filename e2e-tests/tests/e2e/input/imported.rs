//! A CSV export of earlier days is imported beside a topic, with some copies of what was streamed and some broken rows. The process
//! that imports it is killed before and after its commit. Every event counts once, in whatever order it came.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use e2e_tests::observer::Besides;
use e2e_tests::oracle::EVER;
use e2e_tests::views::{Event, METRIC, Mix, Sent, Views};
use e2e_tests::{Oracle, Stage, scenario};
use serde_json::Value;
use test_kit::{DEADLINE, Progress, wait_for};

const MANY: usize = 2_000;
const COPIES: usize = 300;
const SOURCE: &str = "views";
const EARLIER_MS: i64 = 30 * 86_400_000;
const HEADER: &str = "status,video_id,exported,dwell_ms,user_id,occurred_at,event_id";
/// Rows with too few columns, and with a time that is none.
const BROKEN: [&str; 2] = ["200,v", "200,v,x,1,u,yesterday,e"];
/// What a copy in a file says. Only the streamed one counts.
const OTHER_DWELL_MS: i64 = 1_000_000;

#[test]
fn imported_beside_a_topic() {
    scenario("imported_beside_a_topic", async |scenario| {
        let stage = Stage::of(scenario).without_kills().start().await?;
        let mut traffic = stage.traffic(50, Mix::USUAL)?;
        let streamed = traffic.views.batch(MANY);
        let arrived = traffic.send_these(&streamed)?;
        stage.total_as_of(arrived).await?;

        let copies = streamed.iter().filter(|sent| sent.event.is_some()).take(COPIES).map(with_another_dwell);
        let mut exported: Vec<Sent> = earlier(stage.views(50, Mix { late: 1.0, broken: 0.0, ..Mix::USUAL }));
        exported.extend(copies);
        let file = scenario.dir().join("export.csv");
        std::fs::write(&file, csv(&exported))?;

        killed_before_its_commit(&stage, &file, &traffic.oracle).await?;
        killed_after_its_commit(&stage, &file).await?;
        traffic.oracle.observe(&exported);
        stage.reconciled_is(&traffic.oracle).await.context("the streamed and the imported")?;
        stage.is_exact(&traffic.oracle).await?;

        // What is streamed from now on: new events, and copies of imported ones, which the next reconcile leaves out.
        let arrived = traffic.send(MANY)?;
        stage.total_as_of(arrived).await?;
        stage.is_exact(&traffic.oracle).await.context("new events behind an import")?;
        let events = exported[..COPIES].iter().filter_map(|sent| sent.event.as_ref());
        let again: Vec<Sent> = events.map(|event| traffic.views.copy(event)).collect();
        let arrived = traffic.deliver(&again)?;
        stage.total_as_of(arrived).await?;
        archived(&stage).await?;
        stage.reconciled_is(&traffic.oracle).await.context("copies that were streamed later")?;

        imported_and_reconciled(&stage, scenario.dir(), &mut traffic.oracle).await?;
        let rejected = BROKEN.len() as u64;
        let imported = (exported.len() + MANY) as u64 + rejected;
        let besides = Besides { imported, rejected, ..Besides::default() };
        stage.second_observer_agrees(scenario, besides, &traffic.oracle).await?;
        stage.ran_without_trouble()
    });
}

/// Until its commit, nothing of a file counts.
async fn killed_before_its_commit(stage: &Stage, file: &Path, streamed: &Oracle) -> Result<()> {
    killed(stage, file, "import::before_commit").await?;
    let answer = stage.client()?.total(METRIC, &[]).await?;
    ensure!(answer.complete && answer.counts()? == streamed.total(None, EVER), "nothing was imported: {answer:?}");
    Ok(())
}

/// From its commit on, all of it is a gap until the next reconcile, and a second try changes nothing.
async fn killed_after_its_commit(stage: &Stage, file: &Path) -> Result<()> {
    killed(stage, file, "import::after_commit").await?;
    let answer = stage.client()?.total_with_gap(METRIC, "import_not_counted").await?;
    let reads_well = answer.gaps.iter().any(|gap| gap["text"] == "imported rows wait for the next reconcile");
    ensure!(reads_well, "{answer:?}");
    let again = import(stage, file, &[]).await?;
    ensure!(again.contains("its content was already imported"), "{again}");
    let listed = stage.deployment.braid(&["imports", SOURCE], DEADLINE).await?;
    let of_file: Vec<&str> = listed.lines().filter(|line| line.contains("export.csv")).collect();
    let rejected = format!("{} rejected", BROKEN.len());
    ensure!(of_file.len() == 1 && of_file[0].contains(&rejected), "{listed}");
    Ok(())
}

/// Another file, this time with the reconcile at once.
async fn imported_and_reconciled(stage: &Stage, folder: &Path, oracle: &mut Oracle) -> Result<()> {
    let more: Vec<Sent> = earlier(stage.views(50, Mix::PLAIN));
    let file: PathBuf = folder.join("more.ndjson");
    let lines = more.iter().map(|sent| object(sent.event.as_ref())).collect::<Vec<String>>();
    std::fs::write(&file, lines.join("\n"))?;
    let tried = import(stage, &file, &["--dry-run", "--output", "json"]).await?;
    let told = import(stage, &file, &["--reconcile", "--output", "json"]).await?;
    for (told, outcome) in [(&tried, "decoded"), (&told, "archived")] {
        let line = told.lines().find(|line| line.starts_with('{')).context("no JSON")?;
        let told: Value = serde_json::from_str(line)?;
        let is_whole = told["outcome"] == outcome && told["rows"] == MANY && told["valid"] == MANY;
        ensure!(is_whole && told["rejected"] == serde_json::json!({}), "{outcome}: {told}");
    }
    let before = oracle.total(None, EVER);
    oracle.observe(&more);
    let expected = oracle.total(None, EVER);
    wait_for("what was imported to be served", DEADLINE, async || {
        let answer = stage.authoritative_total().await?;
        let counts = answer.counts()?;
        ensure!(counts == before || counts == expected, "neither {before:?} nor {expected:?}: {answer:?}");
        Ok(Progress::when(counts == expected, format_args!("{answer:?}")))
    })
    .await?;
    stage.is_exact(oracle).await
}

async fn killed(stage: &Stage, file: &Path, fail_point: &str) -> Result<()> {
    let file = file.to_string_lossy();
    // It stays there until it is killed.
    let process =
        stage.deployment.launch_batch(&["import", SOURCE, file.as_ref()], &format!("{fail_point}=return(60000)"))?;
    process.line(&format!("failpoint {fail_point}"), DEADLINE).await?;
    process.kill();
    Ok(())
}

async fn import(stage: &Stage, file: &Path, flags: &[&str]) -> Result<String> {
    let file = file.to_string_lossy();
    let mut arguments = vec!["import", SOURCE, file.as_ref()];
    arguments.extend(flags);
    run(stage, &arguments).await
}

async fn run(stage: &Stage, arguments: &[&str]) -> Result<String> {
    let process = stage.deployment.batch(arguments)?;
    process.success(DEADLINE).await?;
    process.output()
}

/// Waits until the topic is archived to its end.
async fn archived(stage: &Stage) -> Result<()> {
    stage.until_each_partition("archived to its end", |row| row["closed"] == true || row["archive_lag"] == 0).await
}

/// Views of a month before.
fn earlier(views: Views) -> Vec<Sent> {
    let earlier = |event: Event| Event { at_ms: event.at_ms - EARLIER_MS, ..event };
    views.take(MANY).map(|sent| Sent { event: sent.event.map(earlier), ..sent }).collect()
}

/// A copy of what was sent, which says something else.
fn with_another_dwell(sent: &Sent) -> Sent {
    let other = |event: Event| Event { dwell_ms: Some(OTHER_DWELL_MS), ..event };
    Sent { event: sent.event.clone().map(other), ..sent.clone() }
}

/// A table of these events, with the broken rows in between.
fn csv(sent: &[Sent]) -> String {
    let mut text = format!("{HEADER}\n");
    for (n, event) in sent.iter().filter_map(|sent| sent.event.as_ref()).enumerate() {
        let dwell = event.dwell_ms.map(|ms| ms.to_string()).unwrap_or_default();
        let Event { id, at_ms, video, status, .. } = event;
        text.push_str(&format!("{status},{video},\"x, \"\"{n}\"\"\",{dwell},u-1,{at_ms},{id}\n"));
        if let Some(broken) = BROKEN.get(n.wrapping_sub(MANY / 2)) {
            text.push_str(&format!("{broken}\n"));
        }
    }
    text
}

fn object(event: Option<&Event>) -> String {
    let Some(Event { id, at_ms, video, status, dwell_ms }) = event else { return String::new() };
    serde_json::json!({
        "event_id": id, "occurred_at": at_ms, "video_id": video, "user_id": "u-1", "status": status, "dwell_ms": dwell_ms,
    })
    .to_string()
}
