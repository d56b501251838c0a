//! `bench peers`, which `make bench-peers` runs: one topic through Braid, Flink SQL and Kafka Streams, one after the other beside the same broker.
//! Each counts views by video and minute; every total is compared with what was counted while sending. Writes `docs/performance.md`; with another
//! number of events (`EVENTS`), or by a debug build, it is a rehearsal, and the page lies in the target folder.
//!
//! - `topic`: what is sent; `totals`: what is true of it;
//! - `braid`: by its speed layer alone, or with everything that runs beside it; `answers`: asks for every total over HTTP;
//! - `rivals`: which there are, and with which settings; `running`: one of them counts; `watch`: whether it is done; `outputs`: what it has written;
//! - `meter`: what processes use meanwhile;
//! - `machine`: where this is; `page`: what is written of it.

mod answers;
mod braid;
mod machine;
mod meter;
mod outputs;
mod page;
mod rivals;
mod running;
mod topic;
mod totals;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use e2e_tests::Kafka;
use e2e_tests::binaries::target_dir;
use e2e_tests::scenario::Scenario;

use self::braid::Beside;
use self::meter::Spent;
use self::rivals::{Peer, Rival};
use self::topic::Topic;
use crate::amount::amount;

/// How many events are sent, but in a rehearsal.
const EVENTS: u64 = 5_000_000;
/// Of the topic, and of what rivals write.
const PARTITIONS: i32 = 4;
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.md");

/// What one system took to count everything.
#[derive(Debug)]
struct Outcome {
    /// What the page calls it.
    title: &'static str,
    /// From the start of its process until it worked.
    started_in: Duration,
    /// From then on.
    spent: Spent,
    /// How many results it has written until each was final.
    written: u64,
}

pub(crate) async fn measure(scenario: &Scenario) -> Result<()> {
    let events = amount("EVENTS", EVENTS)?;
    let peers = [Peer::FLINK, Peer::STREAMS];
    step("fetching Flink SQL and Kafka Streams, unless they are at hand");
    let class_paths: Vec<String> = peers.iter().map(|peer| peer.class_path()).collect::<Result<_>>()?;

    step("starting a broker");
    let broker = Kafka::real(scenario.name(), &scenario.dir().join("kafka")).await?;
    let broker = broker.context("this comparison needs the real Kafka broker")?;
    step(&format!("sending {events} events"));
    let topic = Topic::fill(&broker.brokers(), events).await?;
    watch::first_of_all(&topic)?;

    let mut outcomes = Vec::new();
    for beside in [Beside::Nothing, Beside::ThePlatform] {
        step(&format!("counting: {}", beside.title()));
        let folder = folder(scenario, beside.name())?;
        outcomes.push(shown(braid::count(&folder, &broker, &topic, beside).await?, &topic));
    }
    for rival in Rival::ALL {
        step(&format!("counting: {}", rival.title()));
        let class_path = peers.iter().zip(&class_paths).find(|(peer, _)| **peer == rival.peer());
        let (_, class_path) = class_path.context("a rival is made of a peer")?;
        let folder = folder(scenario, rival.name())?;
        outcomes.push(shown(running::count(rival, class_path, &folder, &broker, &topic).await?, &topic));
    }

    let rehearsal = cfg!(debug_assertions) || events != EVENTS;
    let path = if rehearsal { target_dir()?.join("performance.md") } else { PathBuf::from(PAGE) };
    let text = page::text(&topic, &outcomes, &machine::Machine::this()?);
    std::fs::write(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{text}");
    if rehearsal {
        println!("a rehearsal: docs/performance.md is only written by a release build, and with {EVENTS} events");
    }
    step(&format!("every total was right; the page is {}", path.display()));
    Ok(())
}

/// An empty folder for what a system keeps.
fn folder(scenario: &Scenario, name: &str) -> Result<PathBuf> {
    let folder = scenario.dir().join(name);
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// As it comes, since a run takes minutes.
fn shown(outcome: Outcome, topic: &Topic) -> Outcome {
    let Spent { seconds, cpu_seconds, broker_cpu_seconds, peak_mib } = outcome.spent;
    eprintln!(
        "   {:.0} events/s: {seconds:.1} s after {:.1} s of start-up, {cpu_seconds:.1} s of CPU, {broker_cpu_seconds:.1} s of the broker's, \
         {peak_mib:.0} MiB; all of {} totals are right",
        topic.events as f64 / seconds,
        outcome.started_in.as_secs_f64(),
        topic.truth.len(),
    );
    outcome
}

fn step(what: &str) {
    eprintln!("== {what}");
}
