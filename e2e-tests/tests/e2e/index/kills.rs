//! 20,000 changes while the indexer and the server are killed with `kill -9`, between a write and its progress and at moments drawn from
//! the seed; one of seven replies is lost on the way, and in the end the server has no memory to take anything.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e_tests::search::{Plain, Proxy, answers};
use e2e_tests::{Layer, Stage, busy_scenario};
use rand::Rng;
use rand::seq::SliceRandom;
use serde_json::json;
use test_kit::{DEADLINE, Progress, Search, repetitions, wait_for};

use super::people::People;

const CHANGES: usize = 20_000;
const AT_FIRST: usize = 1_000;
/// Where the indexer is killed.
const MOMENTS: [&str; 6] = [
    "index::before_bulk",
    "index::after_bulk",
    "index::before_progress",
    "index::after_progress",
    "search::before_bulk",
    "search::after_bulk",
];
/// How often a moment may be passed before the kill, and how long the indexer stays there if it is not killed.
const MOST_PASSAGES: u32 = 5;
const LONG_ENOUGH_MS: u32 = 60_000;
const LATEST_KILL_MS: u64 = 2_000;
/// One of so many replies is lost.
const LOST: u64 = 7;
/// What keeps the server from taking a request with more bytes than that, as if it had no memory.
const MEMORY: &str = "network.breaker.inflight_requests.limit";

/// What is killed, and when.
#[derive(Debug, Clone, Copy)]
enum Kill {
    /// The indexer, there.
    At(&'static str),
    /// The indexer, at any moment.
    Indexer,
    /// The server, at any moment.
    Server,
    /// The server while the indexer is there, which then goes on.
    ServerAt(&'static str),
}

#[test]
fn index_survives_kills() {
    busy_scenario("index_survives_kills", async |scenario| {
        let folder = scenario.dir().join("search");
        let Some(mut server) = Search::start_in(scenario.name(), &folder, &[]).await? else { return Ok(()) };
        let proxy = Proxy::start(&server.url()).await?;
        let Some(mut people) = People::start_behind(scenario, proxy.url(), &server.url()).await? else {
            return Ok(());
        };
        people.are_served(AT_FIRST).await?;
        proxy.lose_one_of(LOST);
        let mut kills: Vec<Kill> = MOMENTS.map(Kill::At).to_vec();
        kills.extend([Kill::Indexer, Kill::Server, Kill::ServerAt("index::before_progress")]);
        let mut kills = kills.repeat(repetitions(1, 4));
        let mut rng = people.stage.rng();
        kills.shuffle(&mut rng);
        for (number, kill) in kills.into_iter().enumerate() {
            let passages = rng.random_range(0..MOST_PASSAGES);
            let moment = Duration::from_millis(rng.random_range(0..LATEST_KILL_MS));
            let done = kill.happens(&mut people, &mut server, passages, moment).await;
            done.with_context(|| format!("kill {number}, {kill:?}"))?;
        }
        people.stage.deployment.start(Layer::Speed).await?;
        no_memory(&mut people, &server.url()).await.context("without memory")?;
        while people.sent() < CHANGES {
            people.send((CHANGES - people.sent()).min(1_000))?;
        }
        people.are_exact().await?;
        println!("{} of {} replies were lost", proxy.lost(), proxy.bulks());
        ensure!(proxy.lost() > 0, "no reply was lost");
        people.are_versioned().await?;
        people.are_checked().await?;
        people.are_exact().await
    });
}

impl Kill {
    async fn happens(self, people: &mut People, server: &mut Search, passages: u32, moment: Duration) -> Result<()> {
        let fail_point = |at: &str, pause_ms: u32| format!("{at}={passages}*off->1*return({pause_ms})->off");
        match self {
            Kill::At(at) => {
                let indexer = people.stage.deployment.launch(Layer::Speed, &fail_point(at, LONG_ENOUGH_MS))?;
                let is_there = format!("failpoint {at}");
                people.flow_during(async |_| indexer.line_with(&is_there, DEADLINE).await.map(drop)).await?;
                indexer.kill();
                Ok(())
            }
            Kill::Indexer => {
                let indexer = people.stage.deployment.launch(Layer::Speed, "")?;
                people.flow_during(async |_| pass(moment).await).await?;
                indexer.kill();
                Ok(())
            }
            Kill::Server => {
                people.stage.deployment.start(Layer::Speed).await?;
                people.flow_during(async |_| pass(moment).await).await?;
                restart(people, server).await
            }
            Kill::ServerAt(at) => {
                // As long as a restart may take, so that what the indexer has written last was killed with the server.
                let indexer = people.stage.deployment.launch(Layer::Speed, &fail_point(at, 3_000))?;
                let is_there = format!("failpoint {at}");
                people.flow_during(async |_| indexer.line_with(&is_there, DEADLINE).await.map(drop)).await?;
                restart(people, server).await?;
                people.are_found().await.map(drop)
            }
        }
    }
}

/// Kills the server under load, and starts it again.
async fn restart(people: &mut People, server: &mut Search) -> Result<()> {
    server.kill();
    people
        .flow_during(async |_| {
            server.restart().await?;
            answers(&server.url()).await
        })
        .await
}

/// The moment is the test: nothing is waited for.
async fn pass(moment: Duration) -> Result<()> {
    tokio::time::sleep(moment).await;
    Ok(())
}

/// The server answers for a while that it has no memory (429): lanes wait, and go on by themselves.
async fn no_memory(people: &mut People, url: &str) -> Result<()> {
    let plain = Plain::new(url);
    plain.put("/_cluster/settings", &json!({"transient": {MEMORY: "100b"}})).await?;
    people.flow_during(async |stage| is_behind(stage).await).await?;
    plain.put("/_cluster/settings", &json!({"transient": {MEMORY: null}})).await?;
    people.are_exact().await
}

/// Waits until the worker has said that it waits.
async fn is_behind(stage: &Stage) -> Result<()> {
    let worker = stage.deployment.process(Layer::Speed)?;
    wait_for("documents to wait", DEADLINE, async || {
        let waits = worker.output()?.contains("the search server cannot do that now (429)");
        Ok(Progress::when(waits, "nothing says that they wait"))
    })
    .await
}
