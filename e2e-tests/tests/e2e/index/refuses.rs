//! The server refuses documents for good: these are kept with its reason, the others go on, and `braid index retry` sends them again once
//! the mapping is mended. A later change of such an id needs no retry.

use anyhow::{Context, Result, ensure};
use e2e_tests::scenario;
use serde_json::{Value, json};
use test_kit::{DEADLINE, Progress, wait_for};

use super::people::People;

const AT_FIRST: usize = 300;
const SOME: usize = 200;
/// Longer than a term of Lucene, and what the status says of it.
const LONG: usize = 40_000;
const REASON: &str = "illegal_argument_exception: field plan";
const MENDED: &str = "mended";
const CHANGED: &str = "changed";
const REFUSED: [&str; 2] = [MENDED, CHANGED];

#[test]
fn index_keeps_what_is_refused() {
    scenario("index_keeps_what_is_refused", async |scenario| {
        let Some(mut people) = People::start(scenario).await? else { return Ok(()) };
        people.are_served(AT_FIRST).await?;
        for id in REFUSED {
            people.put_plan(id, &"x".repeat(LONG))?;
        }
        people.send(SOME)?;
        people.are_exact_but_for(&REFUSED).await?;
        says(&people, &REFUSED).await?;
        let (_, answer) = people.ask(&[]).await?;
        ensure!(answer["refused"] == 2, "{answer}");
        let listed = people.command(&["list"]).await?;
        ensure!(listed.contains("2 documents refused"), "{listed}");
        is_checked_but_for(&people, 2).await?;

        // Nothing is mended.
        let retry = people.stage.deployment.launch_braid(&["index", "retry", "people"])?;
        ensure!(!retry.end(DEADLINE).await?.success(), "nothing is mended: {}", retry.output()?);
        says(&people, &REFUSED).await.context("after a retry that mended nothing")?;

        people.put(CHANGED)?;
        says(&people, &[MENDED]).await.context("after a later change")?;
        people.are_exact_but_for(&[MENDED]).await?;

        let mapping = json!({"properties": {"plan": {"type": "keyword", "ignore_above": 1_000}}});
        people.search.put(&format!("/{}/_mapping", people.build(people.serving().await?)), &mapping).await?;
        people.command(&["retry", "people"]).await?;
        people.are_exact().await.context("after a retry")?;
        says(&people, &[]).await?;
        people.are_checked().await?;
        people.are_versioned().await
    });
}

/// Waits until the status names these ids as refused, and no others, with the kind of the error and the field alone, as the server quotes values.
async fn says(people: &People, ids: &[&str]) -> Result<()> {
    wait_for(&format!("{ids:?} to be refused"), DEADLINE, async || {
        let refused = people.status().await?["refused"].clone();
        let first = refused["first"].as_array().cloned().unwrap_or_default();
        let id = |one: &Value| one["id"].as_str().map(str::to_owned);
        let mut said: Vec<String> = first.iter().filter_map(id).collect();
        said.sort_unstable();
        let has_reason = |one: &Value| one["reason"].as_str().is_some_and(|reason| reason == REASON);
        ensure!(first.iter().all(has_reason), "{refused}");
        let mut wanted = ids.to_vec();
        wanted.sort_unstable();
        Ok(Progress::when(said == wanted && refused["count"] == ids.len(), format_args!("{refused}")))
    })
    .await
}

/// Reconciles until a check has left out so many, and found all others to be equal.
async fn is_checked_but_for(people: &People, refused: u64) -> Result<()> {
    let rows = people.oracle().len() - refused;
    wait_for("a check of all others", DEADLINE, async || {
        people.stage.deployment.reconcile().await?;
        let checks = people.checks().await?;
        let check = checks.first().context("there is no check")?;
        ensure!(check["missing"] == 0 && check["extra"] == 0 && check["different"] == 0, "{check}");
        Ok(Progress::when(check["refused"] == refused && check["rows"] == rows, format_args!("{rows} rows: {check}")))
    })
    .await
}
