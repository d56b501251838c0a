//! Asking without pause while a fault is at work.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use test_kit::{DEADLINE, Process, Progress, wait_for};

use crate::answer::{Answer, Client};
use crate::load::Load;
use crate::views::METRIC;

/// This leaves the machine to the platform under test; nothing depends on it.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs `fault` while the total over everything is asked for without pause. Every answer is held to the load's bounds; where
/// the serving layer cannot answer, it must say why.
pub async fn watched<T>(client: &Client, load: &Load, fault: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        biased;
        broken = ask_for_ever(client, load) => match broken? {},
        done = fault => done,
    }
}

async fn ask_for_ever(client: &Client, load: &Load) -> Result<Infallible> {
    let path = format!("/v1/metrics/{METRIC}/total");
    loop {
        let (status, body) = client.get(&path, &[]).await?;
        if status == 200 {
            let answer: Answer = serde_json::from_value(body.clone()).with_context(|| body.to_string())?;
            load.check(&Answer { text: body.to_string(), ..answer })?;
        } else {
            let says_why = body["detail"].as_str().is_some_and(|detail| !detail.is_empty());
            ensure!(status == 503 && says_why, "{status}: {body}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until a process has printed `part` on more lines than `before`. Returns on how many.
pub async fn prints_again(process: &Process, part: &str, before: usize) -> Result<usize> {
    wait_for(&format!("{part:?} to be printed more than {before} times"), DEADLINE, async || {
        let lines = lines_with(process, part)?;
        Ok(if lines > before { Progress::Done(lines) } else { Progress::NotYet(format!("{lines} times")) })
    })
    .await
}

/// On how many lines a process has printed `part` so far.
pub fn lines_with(process: &Process, part: &str) -> Result<usize> {
    Ok(process.output()?.lines().filter(|line| line.contains(part)).count())
}
