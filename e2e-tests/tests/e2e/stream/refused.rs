//! The topic of a stream refuses records: because the speed layer may not write to it, or because it has too few replicas. All streams over
//! that source stand still, the others go on, and when that is mended all go on behind what was published.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use e2e_tests::kafka::{Right, alter_topic};
use e2e_tests::watch::lines_with;
use e2e_tests::{Kafka, Layer, Stage, busy_scenario};
use serde_json::Value;
use test_kit::{DEADLINE, Process, Progress, wait_for};

use super::payments::{Kind, Mix, Payments};

const PARTITIONS: i32 = 2;
const SOME: usize = 300;
/// What a worker prints whose lane could not publish.
const INTERRUPTED: &str = "a lane was interrupted; it starts again";
/// Records need both replicas, and have the time at which they are appended, as those of every stream.
const BOTH_REPLICAS: [(&str, &str); 2] = [("min.insync.replicas", "2"), ("message.timestamp.type", "LogAppendTime")];

/// Each program is a user of its own that has the rights of docs/operations.md, and no others. The right to write to one topic comes late.
#[test]
fn streams_output_forbidden() {
    busy_scenario("streams_output_forbidden", async |scenario| {
        let folder = scenario.dir().join("kafka");
        let Some(broker) = Kafka::guarded(scenario.name(), &folder).await? else { return Ok(()) };
        let mut stage = Payments::setup(scenario, PARTITIONS).not_started().start_on(&broker.brokers()).await?;
        broker.grant(&rights(&stage)).await?;
        let become_user = |stage: &mut Stage, user: &str| {
            for (key, value) in broker.settings(user) {
                stage.deployment.set(key, &value);
            }
        };
        become_user(&mut stage, "init");
        stage.deployment.batch(&["init"])?.success(DEADLINE).await?;
        become_user(&mut stage, "archive");
        stage.deployment.start(Layer::Archive).await?;
        become_user(&mut stage, "speed");
        let speed = stage.deployment.start(Layer::Speed).await?;
        let mut payments = Payments::of(stage, PARTITIONS, Mix::Usual)?;
        let spent = payments.stream(Kind::Spent);
        payments.send(SOME)?;
        let denied = format!("or writing in it: topic {}", spent.topic);
        stands_still(&mut payments, &speed, &denied).await?;
        is_named(&payments, &spent.topic).await?;
        broker.grant(&[may_write(vec![("--topic", spent.topic)])]).await?;
        payments.are_written().await.context("after the right was granted")?;
        payments.send(SOME)?;
        payments.end_exactly().await
    });
}

/// The rights that docs/operations.md names, but for the right to write to the topic of [`Kind::Spent`].
fn rights(stage: &Stage) -> Vec<Right<'static>> {
    let name = &stage.topic;
    let topic = |ending: &str| ("--topic", format!("{name}{ending}"));
    let outputs = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Spent);
    let mut written: Vec<(&'static str, String)> = outputs.map(|kind| topic(&format!("-{}", kind.name()))).collect();
    written.extend(
        Kind::ALL.into_iter().filter(|kind| kind.has_late()).map(|kind| topic(&format!("-{}.late", kind.name()))),
    );
    vec![
        right("init", &["Create", "Describe", "DescribeConfigs", "Alter"], vec![topic("")], true),
        right("archive", &["Read", "Describe", "DescribeConfigs"], vec![topic("")], true),
        right("archive", &["Read", "Describe"], vec![("--group", format!("braid.{name}.archive."))], true),
        // What it reads, and what it only has to know.
        right(
            "speed",
            &["Read", "Describe", "DescribeConfigs"],
            vec![topic(""), topic("-by_country"), topic("-alerts"), topic("-spent")],
            false,
        ),
        right("speed", &["Read", "Describe"], vec![topic("."), ("--group", format!("braid.{name}."))], true),
        right("speed", &["DescribeConfigs"], vec![topic(".")], true),
        right("speed", &["Write", "Describe"], vec![topic("."), ("--transactional-id", format!("{name}."))], true),
        may_write(written),
    ]
}

fn right(
    user: &'static str,
    operations: &'static [&'static str],
    on: Vec<(&'static str, String)>,
    is_prefix: bool,
) -> Right<'static> {
    Right { user, operations, on, is_prefix }
}

fn may_write(on: Vec<(&'static str, String)>) -> Right<'static> {
    right("speed", &["Write", "Describe"], on, false)
}

/// The topic has a replica on each of two brokers, both of which have to be in sync, and one is killed.
#[test]
fn streams_output_lacks_replicas() {
    busy_scenario("streams_output_lacks_replicas", async |scenario| {
        let folder = scenario.dir().join("kafka");
        let Some(broker) = Kafka::first_of_two(scenario.name(), &folder).await? else { return Ok(()) };
        let stage = Payments::setup(scenario, PARTITIONS).start_on(&broker.brokers()).await?;
        let mut payments = Payments::of(stage, PARTITIONS, Mix::Usual)?;
        // Then the topics of groups and transactions lie on the first broker, too.
        payments.send(SOME)?;
        payments.are_written().await?;
        let mut second = broker.second().await?;
        let spent = payments.stream(Kind::Spent);
        broker.replicate(&spent.topic, PARTITIONS).await?;
        alter_topic(&broker.brokers(), &spent.topic, &BOTH_REPLICAS).await?;
        payments.send(SOME)?;
        payments.are_written().await.context("with two replicas")?;
        let speed = payments.stage.deployment.process(Layer::Speed)?;
        second.kill();
        payments.send(SOME)?;
        // First the broker waits for the other one, and any topic may be late. Then no producer can start, and the topic is named.
        let says = format!("cannot be ended: topic {} has 1 of 2 replicas", spent.topic);
        scenario.without_place(stands_still(&mut payments, &speed, &says)).await?;
        is_named(&payments, &spent.topic).await?;
        second.restart().await?;
        payments.are_written().await.context("after the second broker is back")?;
        payments.send(SOME)?;
        payments.end_exactly().await
    });
}

/// The lanes of the payments say which topic it is, and write nothing of any stream until that is mended.
async fn stands_still(payments: &mut Payments, speed: &Process, says: &str) -> Result<()> {
    wait_for(&format!("every lane to print {says:?}"), DEADLINE, async || {
        let output = speed.output()?;
        let lanes = lanes_that_say(&output, says);
        Ok(Progress::when(lanes.len() == PARTITIONS as usize, format_args!("{lanes:?}")))
    })
    .await?;
    let brokers = payments.stage.brokers.clone();
    let kinds = Kind::ALL.into_iter().filter(|kind| kind.from().is_none());
    let streams: Vec<_> = kinds.map(|kind| payments.stream(kind)).collect();
    let count = || streams.iter().map(|stream| Ok(stream.read(&brokers)?.len())).collect::<Result<Vec<usize>>>();
    let before = count()?;
    payments.send(SOME)?;
    let tries = lines_with(speed, INTERRUPTED)?;
    wait_for("lanes to try again", DEADLINE, async || {
        let more = lines_with(speed, INTERRUPTED)?;
        Ok(Progress::when(more > tries + 1, format_args!("{more} times, {tries} of them before")))
    })
    .await?;
    let after = count()?;
    ensure!(after == before, "{before:?} were written, and now {after:?}");
    for stream in standing(payments).await? {
        let partitions = stream["partitions"].as_array().context("a stream without partitions")?;
        let behind = partitions.iter().filter_map(|partition| partition["behind"].as_i64()).max();
        ensure!(behind > Some(0), "it claims to be written: {stream}");
    }
    Ok(())
}

/// Waits until every stream over the payments says that this topic stops it.
async fn is_named(payments: &Payments, topic: &str) -> Result<()> {
    wait_for(&format!("every stream to say that {topic} stops it"), DEADLINE, async || {
        let streams = standing(payments).await?;
        let names = |why: &Value| why.as_str().is_some_and(|why| why.contains(topic));
        let all = streams.iter().all(|stream| stream["stopped"].as_array().is_some_and(|why| why.iter().any(names)));
        Ok(Progress::when(all, format_args!("{streams:?}")))
    })
    .await
}

/// The lanes that were interrupted and said that.
fn lanes_that_say<'a>(output: &'a str, says: &str) -> BTreeSet<&'a str> {
    let lines = output.lines().filter(|line| line.contains(INTERRUPTED) && line.contains(says));
    lines.filter_map(|line| line.split_whitespace().find_map(|word| word.strip_prefix("id="))).collect()
}

/// What `braid streams` says of each stream over the payments.
async fn standing(payments: &Payments) -> Result<Vec<Value>> {
    let mut streams = payments.standing().await?;
    streams.retain(|stream| stream["from"] == "payments");
    ensure!(streams.len() == 6, "{streams:?}");
    Ok(streams)
}
