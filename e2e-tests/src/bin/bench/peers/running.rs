//! A rival counts the topic.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use e2e_tests::kafka::{Broker, create_topic};
use test_kit::{DEADLINE, Process};

use super::meter::Meter;
use super::outputs::Outputs;
use super::rivals::Rival;
use super::topic::Topic;
use super::watch::Watch;
use super::{Outcome, PARTITIONS};

/// The most that a rival's heap may take.
pub(super) const HEAP_GIB: u32 = 2;
const OPTIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/java.options");
const LOG4J2: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/log4j2.properties");
const POLL: Duration = Duration::from_millis(100);
/// Who has committed nothing for so long, and has read everything, is done; longer than between any two commits.
const QUIET: Duration = Duration::from_secs(6);
/// How often totals may be wrong before that is a failure: what is not yet written is.
const LOOKS: u32 = 3;
const WITHIN: Duration = Duration::from_secs(1_200);

/// Until everything that it was to write is committed. What is read back afterwards says whether it was.
pub(super) async fn count(
    rival: Rival,
    class_path: &str,
    folder: &Path,
    broker: &Broker,
    topic: &Topic,
) -> Result<Outcome> {
    let into = rival.name();
    create_topic(&topic.brokers, into, PARTITIONS, &[]).await?;
    let watch = Watch::new(topic, into, into)?;
    let launched = Instant::now();
    let process = Process::start(into, command(rival, class_path, folder, topic)?, &folder.join("java.out"))?;
    process.line("running", DEADLINE).await?;
    let started_in = launched.elapsed();
    let meter = Meter::start(&[process.id()], broker.id()?)?;

    let (mut written, mut spent) = (watch.has_written()?, meter.spent()?);
    let (mut since, mut looks) = (Instant::now(), 0);
    loop {
        tokio::time::sleep(POLL).await;
        if let Some(status) = process.ended()? {
            bail!("{into} ended ({status}) before it had counted everything");
        }
        ensure!(launched.elapsed() < WITHIN, "{into} has not counted everything within {WITHIN:?}");
        let now = watch.has_written()?;
        if now != written {
            (written, spent, since) = (now, meter.spent()?, Instant::now());
        } else if since.elapsed() > QUIET && watch.has_read_all()? {
            let outputs = Outputs::read(&topic.brokers, into)?;
            match topic.truth.are(&outputs.totals) {
                Ok(()) => {
                    process.kill();
                    return Ok(Outcome { title: rival.title(), started_in, spent, written: outputs.records });
                }
                Err(wrong) => {
                    looks += 1;
                    ensure!(looks < LOOKS, "{into}: {wrong}");
                    since = Instant::now();
                }
            }
        }
    }
}

fn command(rival: Rival, class_path: &str, folder: &Path, topic: &Topic) -> Result<Command> {
    let folder = folder.to_str().context("the folder's path is not UTF-8")?;
    let into = rival.name();
    let mut command = Command::new("java");
    command.arg(format!("@{OPTIONS}")).arg(format!("-Xmx{HEAP_GIB}g")).arg(format!("-Djava.io.tmpdir={folder}"));
    command.arg(format!("-Dlog4j2.configurationFile={LOG4J2}")).args(["-cp", class_path, rival.peer().program]);
    command.args([topic.brokers.as_str(), topic.name, into, into, folder]).args(rival.settings()?);
    Ok(command)
}
