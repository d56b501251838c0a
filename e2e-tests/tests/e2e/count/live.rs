//! Clients that watch a metric are told of an event within a second: a browser's way, by server-sent events, and at a terminal, by
//! `braid watch`. What they are told is what a request gets. A reconcile in between is told, too.

use std::time::{Duration, Instant};

use anyhow::ensure;
use e2e_tests::live::Live;
use e2e_tests::views::{METRIC, Mix};
use e2e_tests::{Stage, busy_scenario};
use test_kit::DEADLINE;

const WITHIN: Duration = Duration::from_secs(1);
const EVENTS: i64 = 15;
const VIDEO: &str = "watched";

#[test]
fn live() {
    busy_scenario("live", async |scenario| {
        // Nobody is killed here: a worker keeps its partitions also if it is not heard of for a second.
        let stage = Stage::of(scenario).without_kills().start().await?;
        // Watched by name, so that no other event changes what is told.
        let mut traffic = stage.traffic(100, Mix::PLAIN)?;
        let arrived = traffic.send(1_000)?;
        stage.total_as_of(arrived).await?;

        let client = stage.client()?;
        let video = [("video_id", VIDEO.to_owned())];
        let mut live = Live::watch(&client, &format!("/v1/metrics/{METRIC}/total"), &video).await?;
        ensure!(live.answer().await?.int("views")? == 0, "nothing of it was sent");
        let of_video = format!("video_id={VIDEO}");
        let command = ["watch", METRIC, &of_video, "--output", "json", "--http", client.url()];
        let printed = stage.deployment.launch_braid(&command)?;
        printed.line_with(&says(0), DEADLINE).await?;

        let (mut told, mut seen) = (Vec::new(), Vec::new());
        for n in 1..=EVENTS {
            let event = traffic.views.about(VIDEO);
            let sent = Instant::now();
            traffic.send_these(&[event])?;
            let by_events = async {
                loop {
                    let answer = live.answer().await?;
                    let views = answer.int("views")?;
                    ensure!(views <= n, "event {n}: {answer:?}");
                    if views == n {
                        return anyhow::Ok(sent.elapsed());
                    }
                }
            };
            let by_command = async {
                printed.line_with(&says(n), DEADLINE).await?;
                anyhow::Ok(sent.elapsed())
            };
            let (event, line) = tokio::try_join!(by_events, by_command)?;
            told.push(event);
            seen.push(line);
            if n == EVENTS / 2 {
                // What was counted by speed is counted by batch now. That is another answer, with the same total.
                stage.deployment.reconcile().await?;
                while live.answer().await?.batch_version().is_none() {}
            }
        }
        let asked = client.total(METRIC, &video).await?;
        ensure!(asked.int("views")? == EVENTS && asked.batch_version().is_some(), "{asked:?}");
        for (how, took) in [("server-sent events", &mut told), ("braid watch", &mut seen)] {
            took.sort_unstable();
            // The one in the middle: one that this machine has delayed decides nothing.
            ensure!(took[took.len() / 2] < WITHIN, "{how} took {took:?}");
        }
        printed.kill();
        stage.is_exact(&traffic.oracle).await
    });
}

/// What a line says of that many views.
fn says(views: i64) -> String {
    format!("\"values\":{{\"views\":{views},")
}
