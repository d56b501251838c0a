//! A search index: how soon a change is found by a search, at the server's refresh of a second and while other people change; and how many
//! documents per second lanes write from a full topic, beside a bare loader that sends the same documents to the same server.
//!
//! - `people`: the table, its changes, and the catalog;
//! - `bare`: the loader.

mod bare;
mod people;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use e2e_tests::scenario::Scenario;
use e2e_tests::search::Plain;
use e2e_tests::{Client, Layer, Producer, Stage};
use futures::future::try_join_all;
use test_kit::{DEADLINE, Progress, Search, wait_for};

use self::people::{PATH, change, document};
use crate::figures::{Figures, share};
use crate::usage::Usage;

/// How many people there are while changes are looked for, and how many of them change a second meanwhile.
const PEOPLE: u64 = 20_000;
const RATE: u64 = 1_000;
/// How many changes are looked for, one begun every while.
const PROBES: usize = 100;
const EVERY: Duration = Duration::from_millis(250);
const FOUND_WITHIN: Duration = Duration::from_secs(30);
/// How often a search looks for one change. It is what the figure may be too large by.
const LOOKED: Duration = Duration::from_millis(20);
/// What we aim at, in milliseconds.
const AIM_MS: f64 = 2_000.0;
/// How many documents are written from a full topic; `BENCH_INDEX_DOCUMENTS` chooses another number.
const DOCUMENTS: u64 = 400_000;
/// The pause between looks, which leaves the server to the lanes.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// How long they may take.
const WRITTEN_WITHIN: Duration = Duration::from_secs(1_800);

pub(crate) async fn measure(scenario: &Scenario, figures: &mut Figures) -> Result<()> {
    let folder = scenario.dir().join("search");
    let server = Search::start_in("bench", &folder, &[]).await?.context("benchmarks need the real OpenSearch")?;
    // In this order, because a server answers slowly until its code is compiled.
    written(scenario, &server, figures).await.context("documents per second")?;
    found(scenario, &server, figures).await.context("change to found")
}

/// A stage whose index serves, with nobody in it.
async fn stage(scenario: &Scenario, server: &Search) -> Result<Stage> {
    let url = server.url();
    let setup = Stage::of(scenario).as_users_get_it().catalog(people::catalog).topic("", people::PARTITIONS, &[]);
    let stage = setup.topic("-unused", 1, &[]).set("search.url", &url).start().await?;
    let client = stage.client()?;
    wait_for("an index that serves", 2 * DEADLINE, async || {
        stage.deployment.reconcile().await?;
        let (status, body) = client.get(PATH, &[]).await?;
        Ok(Progress::when(status == 200, format_args!("{status}: {body}")))
    })
    .await?;
    Ok(stage)
}

/// `change_to_found_ms`: from handing a change to the producer until a search finds it.
async fn found(scenario: &Scenario, server: &Search, figures: &mut Figures) -> Result<()> {
    let stage = stage(scenario, server).await?;
    let (client, producer) = (stage.client()?, stage.producer()?);
    for number in 0..PEOPLE {
        producer.send(&change(number, 0))?;
    }
    producer.flush()?;
    until_behind(&client, |records| records == 0).await?;
    let (load, probes) = (stage.producer()?, stage.producer()?);
    let began = Instant::now();
    let flows = async {
        let mut sent = 0;
        loop {
            let due = (began.elapsed().as_secs_f64() * RATE as f64) as u64;
            while sent < due {
                load.send(&change(sent % PEOPLE, sent))?;
                sent += 1;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let looks = try_join_all((0..PROBES).map(|number| probe(&client, &probes, number)));
    let mut waits_ms: Vec<f64> = tokio::select! {
        broken = flows => return broken,
        waits = looks => waits?,
    };
    waits_ms.sort_by(f64::total_cmp);
    figures.add("change_to_found_load", RATE as f64, "changes/s");
    figures.add("change_to_found_ms_p50", share(&waits_ms, 0.5), "ms");
    figures.beside("change_to_found_ms_p99", share(&waits_ms, 0.99), "ms", AIM_MS);
    Ok(())
}

/// Changes somebody, and looks for that. How long it took, in milliseconds.
async fn probe(client: &Client, producer: &Producer, number: usize) -> Result<f64> {
    tokio::time::sleep(EVERY * u32::try_from(number)?).await;
    let word = format!("probe{number}");
    let (sent, record) = (Instant::now(), people::named(&word));
    producer.send(&record)?;
    while sent.elapsed() < FOUND_WITHIN {
        let (status, answer) = client.get(PATH, &[("q", word.clone()), ("limit", "1".to_owned())]).await?;
        ensure!(status == 200, "{status}: {answer}");
        if answer["total"] == 1 {
            return Ok(sent.elapsed().as_secs_f64() * 1e3);
        }
        tokio::time::sleep(LOOKED).await;
    }
    bail!("{word} is not found within {FOUND_WITHIN:?}")
}

/// `index_documents_per_second`: lanes, from a full topic, beside a bare loader.
async fn written(scenario: &Scenario, server: &Search, figures: &mut Figures) -> Result<()> {
    let documents = match std::env::var("BENCH_INDEX_DOCUMENTS") {
        Ok(number) => number.parse().context("BENCH_INDEX_DOCUMENTS is a number")?,
        Err(_) => DOCUMENTS,
    };
    let stage = stage(scenario, server).await?;
    let client = stage.client()?;
    stage.deployment.kill(Layer::Speed);
    stage.deployment.kill(Layer::Archive);
    let producer = stage.producer()?;
    for number in 0..documents {
        producer.send(&change(number, 0))?;
    }
    producer.flush()?;
    let plain = Plain::new(&server.url());
    let documents_of = |lane: u64| (0..documents).filter(move |number| number % bare::LANES == lane);
    let load = |index| bare::load(&plain, index, people::mapping(), |lane| documents_of(lane).map(document));
    // Otherwise who comes first would write to a server that has not compiled its code yet.
    load("warm-up").await?;

    let worker = stage.deployment.launch(Layer::Speed, "")?;
    // The first documents are left out: before them the worker starts and joins its group.
    let from = until_behind(&client, |records| records < documents).await?;
    let began = Instant::now();
    until_behind(&client, |records| records == 0).await?;
    let per_second = from as f64 / began.elapsed().as_secs_f64();
    let usage = Usage::of(worker.id())?;
    stage.deployment.kill(Layer::Speed);

    let bare = load("bare").await?;
    figures.beside("index_documents_per_second", per_second, "documents/s", documents as f64 / bare.as_secs_f64());
    figures.add("index_cpu_per_document", usage.cpu_seconds * 1e6 / documents as f64, "µs");
    figures.add("index_peak_memory", usage.peak_mib, "MiB");
    Ok(())
}

/// Waits until searches say that they are so many records behind; how many.
async fn until_behind(client: &Client, is_it: impl Fn(u64) -> bool) -> Result<u64> {
    wait_for("the index to get on", WRITTEN_WITHIN, async || {
        let (status, answer) = client.get(PATH, &[("limit", "1".to_owned())]).await?;
        ensure!(status == 200, "{status}: {answer}");
        let records = answer["behind"]["records"].as_u64();
        if let Some(records) = records.filter(|records| is_it(*records)) {
            return Ok(Progress::Done(records));
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
        Ok(Progress::NotYet(answer["behind"].to_string()))
    })
    .await
}
