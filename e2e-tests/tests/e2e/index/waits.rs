//! The server takes nothing for a while: its disk is full, an index is read-only, it is away for a minute, or its replies are lost. Lanes
//! wait, and go on by themselves; nothing is lost. What is erased while it is away leaves the index once it is back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e_tests::search::{Proxy, shared};
use e2e_tests::{Scenario, Stage, scenario};
use serde_json::json;
use test_kit::{DEADLINE, Progress, wait_for};

use super::people::{PEOPLE, People, staying};

const AT_FIRST: usize = 300;
/// By how many records the index is behind before a fault ends.
const BEHIND: u64 = 500;
/// What a full disk has the server set for every index, and what operators set.
const BLOCKS: [&str; 3] = ["read_only_allow_delete", "read_only", "write"];
/// For how long the server is away. Nothing is sent meanwhile, so nothing has to be done.
const AWAY: Duration = Duration::from_secs(60);
/// The exit code of an erasure of which something is left to later runs.
const WAITING: i32 = 3;
/// How many replies are lost.
const LOST: u64 = 20;

#[test]
fn index_waits_for_the_server() {
    scenario("index_waits_for_the_server", async |scenario| {
        let Some(url) = shared(scenario.name()).await? else { return Ok(()) };
        let proxy = Proxy::start(&url).await?;
        let Some(mut people) = People::start_behind(scenario, proxy.url(), &url).await? else { return Ok(()) };
        people.are_served(AT_FIRST).await?;
        let (build, progress) = (people.build(people.serving().await?), people.progress());
        for block in BLOCKS {
            blocked(&mut people, &build, block).await.with_context(|| format!("{block} of the documents"))?;
        }
        blocked(&mut people, &progress, BLOCKS[0]).await.context("the progress is full")?;
        away(scenario, &mut people, &proxy).await.context("away")?;
        proxy.lose_one_of(2);
        people
            .flow_during(async |_| {
                wait_for("replies to be lost", DEADLINE, async || {
                    Ok(Progress::when(proxy.lost() >= LOST, format_args!("{} are", proxy.lost())))
                })
                .await
            })
            .await?;
        people.are_exact().await.context("one of two replies is lost")?;
        proxy.lose_one_of(0);
        people.are_versioned().await?;
        people.are_checked().await?;
        erased_while_away(&mut people, &proxy).await.context("erased while it is away")
    });
}

async fn blocked(people: &mut People, index: &str, block: &str) -> Result<()> {
    let (search, settings) = (people.search.clone(), format!("/{index}/_settings"));
    search.put(&settings, &json!({format!("index.blocks.{block}"): true})).await?;
    people.flow_during(is_behind).await?;
    search.put(&settings, &json!({format!("index.blocks.{block}"): null})).await?;
    people.are_exact().await
}

/// Waits until searches, which are answered all the same, say that they are behind.
async fn is_behind(stage: &Stage) -> Result<()> {
    let client = stage.client()?;
    wait_for("the index to be behind", DEADLINE, async || {
        let (status, body) = client.get("/v1/search/people", &[]).await?;
        ensure!(status == 200, "{status}: {body}");
        Ok(Progress::when(body["behind"]["records"].as_u64() >= Some(BEHIND), format_args!("{}", body["behind"])))
    })
    .await
}

/// The server lets nobody in; searches say so.
async fn away(scenario: &Scenario, people: &mut People, proxy: &Proxy) -> Result<()> {
    proxy.is_away(true);
    people
        .flow_during(async |stage| {
            let client = stage.client()?;
            wait_for("searches to be refused", DEADLINE, async || {
                let (status, body) = client.get("/v1/search/people", &[]).await?;
                ensure!(status == 200 || status == 503, "{status}: {body}");
                Ok(Progress::when(status == 503, format_args!("{body}")))
            })
            .await
        })
        .await?;
    scenario.without_place(tokio::time::sleep(AWAY)).await;
    proxy.is_away(false);
    people.are_exact().await
}

/// Somebody is erased while the server lets nobody in: the erasure says that the index may still hold him. Once the server is back, the next
/// reconcile deletes what does, and the same erasure has nothing left to do.
async fn erased_while_away(people: &mut People, proxy: &Proxy) -> Result<()> {
    let (id, build) = (staying(1), people.build(people.serving().await?));
    let condition = format!("id = '{id}'");
    let erase = ["erase", PEOPLE, "--where", condition.as_str()];
    proxy.is_away(true);
    let erased = people.stage.deployment.batch(&erase)?;
    let (ended, said) = (erased.end(2 * DEADLINE).await?, erased.output()?);
    ensure!(ended.code() == Some(WAITING), "{ended}: {said}");
    ensure!(said.contains(&format!("the documents of index {PEOPLE} may still hold them")), "{said}");
    ensure!(people.search.documents(&build).await?.contains_key(&id), "nobody could have deleted it");
    proxy.is_away(false);
    people.is_erased(&id);
    people.become_exact().await?;
    for build in people.search.indexes(&format!("{}.", people.alias())).await? {
        ensure!(!people.search.documents(&build).await?.contains_key(&id), "{build} still has {id}");
    }
    let again = people.stage.deployment.batch(&erase)?;
    again.success(2 * DEADLINE).await?;
    let said = again.output()?;
    ensure!(!said.contains("may still hold them"), "{said}");
    people.become_exact().await
}
