//! An index is built anew where something is lost or must be lost: partitions are added, somebody deletes the index, the server's data is
//! deleted, something is erased. Until another one serves, searches ask the old one where there is one, and else say that there is none.

use anyhow::{Context, Result, ensure};
use e2e_tests::kafka::grow_topic;
use e2e_tests::scenario;
use serde_json::Value;
use test_kit::{DEADLINE, Progress, wait_for};

use super::people::{PARTITIONS, PEOPLE, PLAN, People, STAYING, staying};

const AT_FIRST: usize = 500;
const SOME: usize = 100;

#[test]
fn index_of_a_topic_that_grows() {
    scenario("index_of_a_topic_that_grows", async |scenario| {
        let Some(mut people) = People::start(scenario).await? else { return Ok(()) };
        people.are_served(AT_FIRST).await?;
        let (before, added) = (people.serving().await?, PARTITIONS);
        grow_topic(&people.stage.brokers, &people.stage.topic, usize::try_from(PARTITIONS + 2)?).await?;
        people.reconnect()?;
        for number in 0..10 {
            people.put_in(&format!("newcomer-{number}"), added + number % 2)?;
        }
        // The old one is searched meanwhile. Ids move to other partitions, so it may not be as it should be.
        people
            .flow_and_serve_during(async |stage| {
                wait_for("another build to serve", 2 * DEADLINE, async || {
                    stage.deployment.reconcile().await?;
                    let (_, answer) = stage.client()?.get(&format!("/v1/search/{PEOPLE}"), &[]).await?;
                    let is_other = answer["build"].as_u64() > Some(before) && answer["rebuilding"] != true;
                    Ok(Progress::when(is_other, format_args!("{answer}")))
                })
                .await
            })
            .await?;
        people.become_exact().await?;
        people.send(SOME)?;
        people.are_exact().await?;
        people.are_checked().await
    });
}

#[test]
fn index_that_is_lost() {
    scenario("index_that_is_lost", async |scenario| {
        let Some(mut people) = People::start(scenario).await? else { return Ok(()) };
        people.are_served(AT_FIRST).await?;
        let build = people.build(people.serving().await?);
        people.search.delete(&format!("/{build}")).await?;
        people.send(SOME)?;
        people.become_exact().await.context("somebody deleted the index")?;

        // As after a start without its data.
        let mut all = people.search.indexes(&format!("{}.", people.alias())).await?;
        all.push(people.progress());
        people.search.delete(&format!("/{}", all.join(","))).await?;
        people.send(SOME)?;
        is_whole_or_refused(&mut people).await.context("the server has lost everything")?;
        people.become_exact().await.context("the server has lost everything")?;

        // The progress alone: nothing says any more what the index holds.
        people.search.delete(&format!("/{}", people.progress())).await?;
        people.send(SOME)?;
        is_whole_or_refused(&mut people).await.context("the progress is lost")?;
        people.become_exact().await.context("the progress is lost")?;
        people.are_checked().await?;

        erased(&mut people).await.context("erased")?;
        people.send(SOME)?;
        people.are_exact().await?;
        people.are_checked().await
    });
}

/// Searches are refused until an index serves that has at least those who stay; none finds a part of it.
async fn is_whole_or_refused(people: &mut People) -> Result<()> {
    people
        .flow_during(async |stage| {
            let client = stage.client()?;
            let path = format!("/v1/search/{PEOPLE}");
            let found = async || client.get(&path, &[("plan", PLAN.to_owned())]).await;
            wait_for("searches to be refused", DEADLINE, async || {
                let (status, body) = found().await?;
                Ok(Progress::when(status == 503, format_args!("{status}: {body}")))
            })
            .await?;
            wait_for("an index to serve", 2 * DEADLINE, async || {
                stage.deployment.reconcile().await?;
                let (status, body) = found().await?;
                ensure!(status == 503 || body["total"] == STAYING, "a part is found: {status}: {body}");
                Ok(Progress::when(status == 200, format_args!("{status}: {body}")))
            })
            .await
        })
        .await
}

/// Somebody is erased: no build has him any more, and one without him serves.
async fn erased(people: &mut People) -> Result<()> {
    people.command(&["rebuild", PEOPLE]).await?;
    people.become_exact().await?;
    let id = staying(1);
    let erase = people.stage.deployment.batch(&["erase", PEOPLE, "--where", &format!("id = '{id}'")])?;
    erase.success(2 * DEADLINE).await?;
    people.is_erased(&id);
    let (_, answer) = people.ask(&[]).await?;
    for build in people.search.indexes(&format!("{}.", people.alias())).await? {
        let held = people.search.documents(&build).await?;
        ensure!(!held.contains_key(&id), "{build} still has {id}, and answers {answer}");
    }
    people.become_exact().await?;
    let (status, answer) = people.ask(&[("plan", PLAN)]).await?;
    let hits = answer["hits"].as_array().context("no hits")?;
    let is_it = |hit: &Value| hit["id"] == id.as_str();
    ensure!(status == 200 && !hits.iter().any(is_it), "{status}: {answer}");
    Ok(())
}
