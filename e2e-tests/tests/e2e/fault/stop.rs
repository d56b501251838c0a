//! SIGTERM under load ends every process within its deadline and without loss, also one that is stuck. A second signal ends it
//! at once.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e_tests::views::{CatalogOptions, Mix, catalog};
use e2e_tests::{Layer, Stage, busy_scenario};
use test_kit::{DEADLINE, Process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SOME: usize = 1_000;
const ROUNDS: usize = 3;
/// Every layer with the setting that bounds its stop.
const LAYERS: [(Layer, &str); 4] = [
    (Layer::Archive, "archive.shutdown"),
    (Layer::Speed, "speed.shutdown"),
    (Layer::Serving, "http.shutdown"),
    (Layer::Schedule, "reconcile.shutdown"),
];
/// Where a layer is stuck, for longer than any deadline.
const STUCK: [(Layer, &str); 3] = [
    (Layer::Archive, "archive::before_commit"),
    (Layer::Speed, "speed::after_apply"),
    (Layer::Schedule, "reconcile::before_commit"),
];
/// What a process prints when it is asked to stop.
const STOPPING: &str = "stopping";
/// A second signal's exit code.
const INTERRUPTED: i32 = 130;
/// What a loaded machine may need to notice that a process has ended.
const SLACK: Duration = Duration::from_secs(3);

#[test]
fn stop_under_load() {
    busy_scenario("stop_under_load", async |scenario| {
        let deadline = Duration::from_secs(10);
        let mut setup = Stage::of(scenario).catalog(every_two_seconds).running(&[]);
        for (_, setting) in LAYERS {
            setup = setup.set(setting, "10s");
        }
        let stage = setup.start().await?;
        let load = stage.load(50, Mix::USUAL)?;
        for round in 0..ROUNDS {
            let mut processes = Vec::new();
            for (layer, _) in LAYERS {
                processes.push((layer, stage.deployment.start(layer).await?));
            }
            stage.counts_more(&load, SOME).await?;
            for (layer, process) in processes {
                process.terminate()?;
                let status =
                    ends_within(&process, deadline).await.with_context(|| format!("{layer:?}, round {round}"))?;
                ensure!(status.success(), "{layer:?} ended with {status} in round {round}");
            }
        }
        for (layer, _) in &LAYERS[..3] {
            stage.deployment.start(*layer).await?;
        }
        stage.ends_exactly(load).await.map(drop)
    });
}

#[test]
fn stop_of_what_is_stuck() {
    busy_scenario("stop_of_what_is_stuck", async |scenario| {
        let deadline = Duration::from_secs(2);
        let mut stage = Stage::of(scenario).catalog(every_two_seconds).start().await?;
        let load = stage.load(50, Mix::USUAL)?;
        stage.counts_more(&load, SOME).await?;
        for (layer, setting) in LAYERS {
            let Some((_, fail_point)) = STUCK.iter().find(|(stuck, _)| *stuck == layer) else { continue };
            for signals in [1, 2] {
                // The second signal ends what would have had long enough.
                stage.deployment.set(setting, if signals == 1 { "2s" } else { "60s" });
                let process = stage.deployment.launch(layer, &format!("{fail_point}=1*return(60000)->off"))?;
                process.line(&format!("failpoint {fail_point}"), DEADLINE).await?;
                process.terminate()?;
                process.line_with(STOPPING, DEADLINE).await?;
                let context = || format!("{layer:?} after {signals} signals");
                if signals == 1 {
                    let status = ends_within(&process, deadline).await.with_context(context)?;
                    ensure!(!status.success(), "{layer:?} was cut off, but reports success");
                } else {
                    process.terminate()?;
                    let status = ends_within(&process, Duration::ZERO).await.with_context(context)?;
                    ensure!(status.code() == Some(INTERRUPTED), "{layer:?} ended with {status}");
                }
            }
            if layer != Layer::Schedule {
                stage.deployment.start(layer).await?;
            }
        }
        serving_is_cut_off(&mut stage).await?;
        stage.ends_exactly(load).await.map(drop)
    });
}

/// A request that waits for a Redis that does not answer holds up the serving layer's stop for `http.shutdown`, and a
/// second signal does not wait for it.
async fn serving_is_cut_off(stage: &mut Stage) -> Result<()> {
    stage.deployment.set("redis.response_timeout", "60s");
    stage.deployment.set("http.request_timeout", "60s");
    for signals in [1, 2] {
        stage.deployment.set("http.shutdown", if signals == 1 { "2s" } else { "60s" });
        let process = stage.deployment.start(Layer::Serving).await?;
        let ready = process.line("ready", DEADLINE).await?;
        let address = ready.rsplit("http=").next().context("an address")?.trim().to_owned();
        stage.total_as_of(0).await?;
        let mut open = TcpStream::connect(&address).await?;
        stage.redis.suspend()?;
        open.write_all(b"GET /v1/metrics/views/total HTTP/1.1\r\nhost: braid\r\n\r\n").await?;
        // Answered after the other request was taken.
        let (code, _) = stage.client()?.get("/openapi.json", &[]).await?;
        ensure!(code == 200, "{code}");
        process.terminate()?;
        process.line_with(STOPPING, DEADLINE).await?;
        if signals == 2 {
            process.terminate()?;
            let status = ends_within(&process, Duration::ZERO).await?;
            ensure!(status.code() == Some(INTERRUPTED), "serving ended with {status}");
        } else {
            let status = ends_within(&process, Duration::from_secs(2)).await?;
            ensure!(status.success(), "serving ended with {status}");
        }
        let mut rest = Vec::new();
        // Cut off: whether with an error or without an answer.
        let _ = open.read_to_end(&mut rest).await;
        ensure!(rest.is_empty(), "the request was answered: {}", String::from_utf8_lossy(&rest));
        stage.redis.resume()?;
    }
    stage.deployment.set("redis.response_timeout", "2s");
    stage.deployment.set("http.shutdown", "10s");
    stage.deployment.start(Layer::Serving).await?;
    Ok(())
}

/// Waits until the process has ended by itself, within the deadline that it has from now on.
async fn ends_within(process: &Process, deadline: Duration) -> Result<ExitStatus> {
    let asked = Instant::now();
    let status = process.end(DEADLINE).await?;
    let took = asked.elapsed();
    ensure!(took <= deadline + SLACK, "it took {took:?} to stop, and had {deadline:?}");
    Ok(status)
}

fn every_two_seconds(topic: &str) -> String {
    catalog(&CatalogOptions { reconcile: "*/2 * * * * *", ..CatalogOptions::of(topic) })
}
