//! Conversions are attributed to the last ad click of their user, by the very catalog that `docs/choosing.md` shows.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use e2e_tests::kafka::Record;
use e2e_tests::streams::written::{Stream, Written};
use e2e_tests::views::NEVER;
use e2e_tests::{Layer, Producer, Stage, scenario};
use serde_json::{Value, json};
use test_kit::{DEADLINE, Progress, wait_for};

const PAGE: &str = include_str!("../../../../docs/choosing.md");
const LAYERS: [Layer; 2] = [Layer::Archive, Layer::Serving];
const METRIC: &str = "attributed_revenue";
const USERS: usize = 30;
/// The users from this one on have clicked nothing.
const SILENT: usize = 24;
/// Has clicked longer ago than the example counts.
const FORGETFUL: usize = 5;
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
const AMOUNT: f64 = 2.5;

#[test]
fn attribution() {
    scenario("attribution", async |scenario| {
        let setup = Stage::of(scenario).catalog(catalog).running(&LAYERS).without_kills();
        let setup = setup.topic("-last-click", 2, &[]).topic("-conversions", 2, &[]);
        let Some(stage) = setup.start_on_real_kafka().await? else { return Ok(()) };
        let (clicks, conversions) = (producer(&stage, "last-click")?, producer(&stage, "conversions")?);
        let now_ms = stage.now_us / 1_000;
        for (user, campaign, age_ms) in (0..SILENT).flat_map(clicks_of) {
            let row = json!({"user_id": id(user), "campaign": campaign, "clicked_at": now_ms - age_ms});
            clicks.send(&record(user, &row))?;
        }
        clicks.flush()?;
        for user in 0..USERS {
            let id_of = format!("c-{user}");
            let event = json!({"conversion_id": id_of, "user_id": id(user), "amount": AMOUNT, "at": now_ms});
            conversions.send(&record(user, &event))?;
        }
        conversions.flush()?;
        // Its lanes wait until they know of every click that had arrived before they started.
        stage.deployment.start(Layer::Speed).await?;

        let outputs = outputs(&stage).await?;
        for (user, output) in &outputs {
            let last = (0..SILENT).flat_map(clicks_of).rfind(|(of, ..)| id(*of) == *user);
            let campaign = last.map(|(_, campaign, _)| Value::from(campaign));
            ensure!(output.get("campaign").cloned() == campaign, "{user} has clicked {campaign:?}: {output}");
            let seen = output["last_click_seen"].as_str().unwrap_or_default();
            ensure!(seen.split('/').count() == 3, "it says as of which changes: {output}");
        }
        let counted = |campaign: &str| {
            let last = (0..SILENT).filter(|user| *user != FORGETFUL).filter_map(|user| clicks_of(user).pop());
            last.filter(|(_, last, _)| last == campaign).count()
        };
        for campaign in ["autumn", "spring", "summer"] {
            attributed(&stage, campaign, counted(campaign)).await.context("by the speed layer")?;
        }
        stage.deployment.reconcile().await?;
        for campaign in ["autumn", "spring", "summer"] {
            let key = [("campaign", campaign.to_owned())];
            let answer = stage.client()?.authoritative_total(METRIC, &key).await?;
            ensure!(answer.int("conversions")? == i64::try_from(counted(campaign))?, "{campaign}: {answer:?}");
        }
        stage.ran_without_trouble()
    });
}

/// The ad clicks of a user in their order: the campaign, and how long ago they were in milliseconds.
fn clicks_of(user: usize) -> Vec<(usize, String, i64)> {
    let campaigns = ["spring", "summer", "autumn"];
    let age_ms = if user == FORGETFUL { 8 * DAY_MS } else { DAY_MS };
    (0..2).map(|n| (user, campaigns[(user + n) % campaigns.len()].to_owned(), age_ms)).collect()
}

fn id(user: usize) -> String {
    format!("u-{user}")
}

fn record(user: usize, value: &Value) -> Record {
    Record { key: id(user), payload: value.to_string().into_bytes(), partition: None }
}

fn producer(stage: &Stage, topic: &str) -> Result<Producer> {
    Producer::new(&stage.brokers, &format!("{}-{topic}", stage.topic))
}

/// What was written of each user's conversion, once all are.
async fn outputs(stage: &Stage) -> Result<BTreeMap<String, Value>> {
    let stream = Stream { has_late: false, ..Stream::of(&stage.topic, "attributed") };
    let written = wait_for("an output for each conversion", DEADLINE, async || {
        let written = stream.read(&stage.brokers)?;
        let is_all = written.len() == USERS;
        Ok(if is_all { Progress::Done(written) } else { Progress::NotYet(format!("{} outputs", written.len())) })
    })
    .await?;
    let outputs = written.iter().map(Written::json).collect::<Result<Vec<Value>>>()?;
    let user = |output: Value| -> Result<(String, Value)> {
        Ok((output["user_id"].as_str().context("no user")?.to_owned(), output))
    };
    let outputs = outputs.into_iter().map(user).collect::<Result<BTreeMap<String, Value>>>()?;
    ensure!(outputs.len() == USERS, "one output for each user: {outputs:?}");
    Ok(outputs)
}

/// Waits until a campaign has brought in so many conversions.
async fn attributed(stage: &Stage, campaign: &str, wanted: usize) -> Result<()> {
    let (client, wanted) = (stage.client()?, i64::try_from(wanted)?);
    wait_for(&format!("{wanted} conversions of {campaign}"), DEADLINE, async || {
        let answer = client.total(METRIC, &[("campaign", campaign.to_owned())]).await?;
        let is_so = answer.complete && answer.int("conversions")? == wanted;
        let is_paid = answer.float("revenue") == Some(AMOUNT * wanted as f64);
        Ok(Progress::when(is_so && is_paid, format_args!("{answer:?}")))
    })
    .await
}

/// The page's example, on topics of the stage's own.
fn catalog(name: &str) -> String {
    let sections = PAGE.split("\n### ").find(|section| section.starts_with("Attribution"));
    let rest = sections.and_then(|section| section.split_once("```toml\n")).expect("the page has the example").1;
    let mut example = rest.split_once("\n```").expect("the example ends").0.to_owned();
    for (section, topic) in [
        ("tables.last_click", "last-click"),
        ("sources.conversions", "conversions"),
        ("streams.attributed", "attributed"),
    ] {
        let title = format!("[{section}]\n");
        example = example.replace(&title, &format!("{title}topic = \"{name}-{topic}\"\n"));
    }
    format!("[pipeline]\nname = \"{name}\"\nversion = \"v1\"\n\n[schedule]\nreconcile = \"{NEVER}\"\n\n{example}\n")
}
