//! A mistake in production, corrected without a moment of wrong or missing answers: the new version is replayed beside the old one, verified,
//! promoted and rolled back while events flow and clients ask. `make demo-kappa` plays it with many events.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Polls, Step, Still, Versions, corrected, mistaken, shards};
use crate::load::{Counted, Load};
use crate::printed::objects;
use crate::scenario::Scenario;
use crate::stage::Stage;
use crate::views::{METRIC, Mix, Sent, Views};

const VIDEOS: u32 = 40;
/// A video about which nothing is sent any more once clients ask.
const STILL: &str = "video-42";
/// How many views of it are sent, and how many of them failed.
const STILL_VIEWS: usize = 1_000;
const STILL_FAILED: usize = 37;
/// How many events are made at a time.
const BATCH: usize = 10_000;
/// How many events flow by between two steps.
const SOME: usize = 2_000;

/// Plays it with so many events in the log before anything is corrected. `say` gets each step in plain words, and what a person types.
pub async fn play(scenario: &Scenario, events: usize, say: impl Fn(&str)) -> Result<()> {
    let setup = Stage::of(scenario).catalog(mistaken).set("versions.refresh", "1s").without_kills();
    let Some(stage) = setup.start_on_real_kafka().await? else { return Ok(()) };
    say("Kafka, Redis and the three layers run; v1 counts views of videos with `where = \"status >= 200\"`");
    let mut views = stage.views(VIDEOS, Mix::USUAL);
    let (before, still) = send(&stage, &mut views, events)?;
    say(&format!("{events} views were sent; of {STILL_VIEWS} views of {STILL}, {STILL_FAILED} failed (status 404)"));
    let load = Load::after(before, stage.producer()?, views);
    let client = stage.client()?;
    let arrived = load.arrive(SOME).await?;
    client.total_as_of(arrived, METRIC, &[]).await?;
    // So that the old version's answers come from both layers.
    stage.deployment.reconcile().await?;
    told(&stage, &say).await?;
    say("the mistake: views that failed count as well. v2 has `where = \"status = 200\"`");

    let counted = [("v1", Counted::EveryStatus), ("v2", Counted::Status200)];
    let polls = Polls::new(client, &load, still, &counted);
    say("from now on views flow and a client asks without pause; each answer is held to the version that it names");
    polls.during(corrects(&stage, &polls, &load, &say)).await?;
    let turns = polls.turns();
    say(&format!("answers were of {}; how many each gave: {:?}", turns.join(", then "), polls.answers()));
    ensure!(turns == ["v1", "v2", "v1", "v2"], "{turns:?}");

    let stopped = load.stop().await?;
    stage.total_as_of(stopped.arrived_us).await?;
    stage.is_exact(&stopped.oracle).await?;
    say("no request failed, every answer was exact for its version, and all of v2 are exact at the end");
    stage.ran_without_trouble()
}

async fn corrects(stage: &Stage, polls: &Polls<'_>, load: &Load, say: &impl Fn(&str)) -> Result<()> {
    let (versions, catalog) = (Versions::of(&stage.deployment), corrected(&stage.topic));
    let take = async |step: Step<'_>| -> Result<String> {
        say(&format!("$ {}", step.typed()));
        versions.take(step).await
    };
    take(Step::Create { version: "v2", catalog: &catalog }).await?;
    take(Step::Replay { version: "v2", from: "log" }).await?;
    let records: i64 = shards(stage, "v2").await?.values().map(|shard| shard.cursor).sum();
    say(&format!("v2 has counted {records} records from the log's begin, beside v1"));
    polls.ask_for("v2").await?;
    let report = take(Step::Verify("v2")).await?;
    let report = objects(&report)?.pop().with_context(|| format!("no report: {report}"))?;
    ensure!(report["verdict"] == "equal", "{report}");
    say(&format!("{}: {}", report["verdict"].as_str().unwrap_or_default(), compared(&report)));
    for step in [Step::Promote("v2"), Step::RollBack, Step::Promote("v2")] {
        load.arrive(SOME).await?;
        take(step).await?;
        versions.is_active(&versions.active()?).await?;
        told(stage, say).await?;
    }
    load.arrive(SOME).await.map(drop)
}

/// Sends everything that is there before the correction, the still video first; returns it.
fn send(stage: &Stage, views: &mut Views, events: usize) -> Result<(Vec<Sent>, Still)> {
    let producer = stage.producer()?;
    let mut all: Vec<_> = (0..STILL_VIEWS)
        .map(|sent| if sent < STILL_FAILED { views.failed_about(STILL) } else { views.about(STILL) })
        .collect();
    while all.len() < events {
        let more = BATCH.min(events - all.len());
        all.extend(views.batch(more));
    }
    for batch in all.chunks(BATCH) {
        producer.send_all(batch.iter().map(|sent| &sent.record))?;
    }
    let still = Still::of(STILL, &all);
    Ok((all, still))
}

/// Says what is answered about the still video.
async fn told(stage: &Stage, say: &impl Fn(&str)) -> Result<()> {
    let answer = stage.client()?.total(METRIC, &[("video_id", STILL.to_owned())]).await?;
    say(&format!(
        "  braid query views video_id={STILL}  ->  {} views, version {}",
        answer.int("views")?,
        answer.version
    ));
    Ok(())
}

/// How much was compared, of all metrics together.
fn compared(report: &Value) -> String {
    let metrics = report["metrics"].as_array().map(Vec::as_slice).unwrap_or_default();
    let sum = |name: &str| metrics.iter().filter_map(|metric| metric[name].as_i64()).sum::<i64>();
    format!("{} values compared with a recount of the archive, {} of them equal", sum("compared"), sum("equal"))
}
