//! What happens to topics and brokers: meanwhile answers are exact or say what they lack, and afterwards they are exact.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e_tests::exactness::{every_answer_is_exact, total_is_exact};
use e2e_tests::kafka::{
    create_topic, create_topic_with, delete_records, delete_topic, end_offsets, grow_topic, read_all,
};
use e2e_tests::oracle::EVER;
use e2e_tests::scenario::now_us;
use e2e_tests::stage::LAYERS;
use e2e_tests::views::{METRIC, Mix, Sent, Views};
use e2e_tests::wait::{DEADLINE, Look, wait_for};
use e2e_tests::{Archive, Kafka, Layer, Load, Oracle, Producer, Scenario, Stage, scenario};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

/// Copies are kept out where they may meet in two partitions or logs: speed would count both until the next reconcile.
const SINGLE: Mix = Mix { duplicates: 0.0, late: 0.02, broken: 0.01 };
const SOME: usize = 1_000;
const KAFKA_WITHIN: Duration = Duration::from_secs(30);

#[test]
fn topic_created_again() {
    scenario("topic_created_again", async |scenario| {
        let Some(stage) = Stage::on_real_kafka(scenario, 4).await? else { return Ok(()) };
        let client = stage.client()?;
        let now = now_us();
        let views = Views::new(scenario.rng(), now, 50, SINGLE);
        let load = Load::to_a_vanishing_topic(Producer::giving_up(&stage.brokers, &stage.topic)?, views);
        let arrived = load.arrive(SOME).await?;
        client.total_as_of(arrived, METRIC, &[]).await?;
        stage.deployment.reconcile().await?;
        let archived = client.total_as_of(arrived, METRIC, &[]).await?;
        load.arrive(SOME).await?;
        let old_log = stage.status().await?["log"].clone();

        delete_topic(&stage.brokers, &stage.topic).await?;
        create_topic(&stage.brokers, &stage.topic, 4).await?;
        // Whatever is lost with the topic, what was archived stays; and nothing is counted that was not sent.
        let least = archived.int("views")?;
        let is_met = async || -> Result<bool> {
            let answer = client.total(METRIC, &[]).await?;
            let sent = load.sent();
            ensure!(answer.int("views")? <= sent.views, "more than {sent:?}: {answer:?}");
            ensure!(!answer.complete || answer.int("views")? >= least, "less than {least}: {answer:?}");
            let status = stage.status().await?;
            let logs = status["logs"].as_array().context("no logs")?;
            Ok(logs.len() == 2 && logs.iter().any(|log| log["log"] == old_log && log["closed"] == true))
        };
        wait_for("the old log to be closed", DEADLINE, async || {
            Ok(if is_met().await? { Look::Done(()) } else { Look::NotYet("it is not".to_owned()) })
        })
        .await?;
        load.arrive(SOME).await?;
        is_met().await?;
        let stopped = load.stop().await?;

        // What vanished with the topic before it was archived is lost, and said to be: of what speed had counted the reconcile
        // finds it.
        stage.deployment.reconcile().await?;
        let list = stage.deployment.batch(&["lost", "list"])?;
        list.success(DEADLINE).await?;
        if list.output()?.contains(" open") {
            client.total_with_gap(METRIC, "lost").await?;
            stage.deployment.batch(&["lost", "accept", "--source", "views"])?.success(DEADLINE).await?;
        }
        // The new log is counted at once.
        client.total_as_of(now_us(), METRIC, &[]).await?;
        let new = read_all(&stage.brokers, &stage.topic)?;
        ensure!(!new.is_empty(), "nothing arrived in the new topic");

        let by_payload = by_payload(&stopped.sent);
        let mut oracle = Oracle::default();
        let old = archived_ids(&stage, &old_log)?;
        ensure!(!old.is_empty(), "nothing of the old log is archived");
        let by_id: HashMap<&str, &Sent> =
            stopped.sent.iter().filter_map(|sent| Some((sent.event.as_ref()?.id.as_str(), sent))).collect();
        for id in &old {
            oracle.observe([*by_id.get(id.as_str()).with_context(|| format!("{id} was never sent"))?]);
        }
        for found in &new {
            oracle.observe([*by_payload.get(&found.payload).context("a record that was never sent")?]);
        }
        every_answer_is_exact(&client, &oracle, now).await?;
        // Once more, now that nothing of the old log is left outside the batch view.
        stage.reconciled_is(&oracle).await?;
        every_answer_is_exact(&client, &oracle, now).await
    });
}

#[test]
fn topic_gains_partitions() {
    scenario("topic_gains_partitions", async |scenario| {
        let Some(stage) = Stage::on_real_kafka(scenario, 3).await? else { return Ok(()) };
        let now = now_us();
        let load =
            Load::start(Producer::new(&stage.brokers, &stage.topic)?, Views::new(scenario.rng(), now, 200, SINGLE));
        load.arrive(SOME).await?;
        stage.deployment.reconcile().await?;
        grow_topic(&stage.brokers, &stage.topic, 6).await?;
        stage
            .poll(&load, "all six partitions to be written and counted", async |_| {
                let status = stage.status().await?;
                let rows = partitions(&status)?;
                Ok(rows.len() == 6 && rows.iter().all(|row| row["cursor"].as_i64() > Some(0)))
            })
            .await?;
        load.arrive(SOME).await?;
        let stopped = load.stop().await?;
        let client = stage.client()?;
        client.total_as_of(stopped.arrived_us, METRIC, &[]).await?;
        stage.stays_exact(&stopped.oracle, now).await?;
        let archive = Archive::read(&stage.deployment.store(), "views")?;
        archive.holds_each_offset_once(&end_offsets(&stage.brokers, &stage.topic)?)
    });
}

#[test]
fn broker_restarts() {
    scenario("broker_restarts", async |scenario| {
        let Some(mut broker) = Kafka::real("broker_restarts", &scenario.dir().join("kafka")).await? else {
            return Ok(());
        };
        let stage = Stage::new(scenario, &broker.brokers()).await?;
        create_topic(&stage.brokers, &stage.topic, 4).await?;
        stage.deployment.start_all(&LAYERS).await?;
        let now = now_us();
        let load =
            Load::start(Producer::new(&stage.brokers, &stage.topic)?, Views::new(scenario.rng(), now, 100, Mix::USUAL));
        for _ in 0..2 {
            let arrived = load.arrive(SOME).await?;
            let after = async |answer: &e2e_tests::Answer| Ok(answer.complete && answer.as_of_us()? >= Some(arrived));
            stage.poll(&load, "what arrived before the broker was killed", after).await?;
            broker.kill();
            // Without a broker answers go on, and claim nothing newer than what is known.
            for _ in 0..20 {
                load.check(&stage.client()?.total(METRIC, &[]).await?)?;
            }
            broker.restart().await?;
        }
        let arrived = load.arrive(SOME).await?;
        let after = async |answer: &e2e_tests::Answer| Ok(answer.complete && answer.as_of_us()? >= Some(arrived));
        stage.poll(&load, "what arrived after the broker was killed", after).await?;
        let stopped = load.stop().await?;
        let client = stage.client()?;
        client.total_as_of(stopped.arrived_us, METRIC, &[]).await?;
        stage.stays_exact(&stopped.oracle, now).await?;
        let archive = Archive::read(&stage.deployment.store(), "views")?;
        archive.holds_each_offset_once(&end_offsets(&stage.brokers, &stage.topic)?)
    });
}

#[test]
fn records_deleted_that_speed_had_counted() {
    scenario("records_deleted_that_speed_had_counted", async |scenario| {
        records_deleted(scenario, &[Layer::Archive]).await
    });
}

#[test]
fn records_deleted_that_nobody_had_read() {
    scenario("records_deleted_that_nobody_had_read", async |scenario| {
        records_deleted(scenario, &[Layer::Archive, Layer::Speed]).await
    });
}

/// Records vanish while those layers are away.
async fn records_deleted(scenario: &Scenario, away: &[Layer]) -> Result<()> {
    let Some(stage) = Stage::on_real_kafka(scenario, 2).await? else { return Ok(()) };
    let client = stage.client()?;
    let now = now_us();
    let mut views = Views::new(scenario.rng(), now, 50, SINGLE);
    let producer = Producer::new(&stage.brokers, &stage.topic)?;
    let mut sent = views.batch(SOME);
    let arrived = producer.send_all(sent.iter().map(|sent| &sent.record))?;
    client.total_as_of(arrived, METRIC, &[]).await?;
    stage.deployment.reconcile().await?;
    client.authoritative_total(METRIC, &[]).await?;
    let before = end_offsets(&stage.brokers, &stage.topic)?;

    for layer in away.iter().filter(|layer| **layer == Layer::Speed) {
        stage.deployment.kill(*layer);
    }
    stage.deployment.kill(Layer::Archive);
    let more = views.batch(SOME);
    let arrived = producer.send_all(more.iter().map(|sent| &sent.record))?;
    sent.extend(more);
    if !away.contains(&Layer::Speed) {
        client.total_as_of(arrived, METRIC, &[]).await?;
    }
    // Some beyond what is archived of the one partition, and some below what is archived of the other.
    let below = BTreeMap::from([(0, before[0] + 100), (1, before[1] - 50)]);
    delete_records(&stage.brokers, &stage.topic, &below).await?;
    for layer in away {
        stage.deployment.start(*layer).await?;
    }
    client.total_with_gap(METRIC, "lost").await?;
    // A reconcile recounts what is left, and does not hide what is not.
    stage.deployment.reconcile().await?;
    client.total_with_gap(METRIC, "lost").await?;
    let status = stage.status().await?;
    let lost: Vec<_> = partitions(&status)?.iter().flat_map(|row| row["lost"].as_array()).flatten().collect();
    ensure!(lost.len() == 1, "one range is lost: {status}");
    ensure!(lost[0]["from"] == before[0] && lost[0]["to"] == before[0] + 100, "another range is lost: {status}");

    stage.deployment.batch(&["lost", "accept", "--source", "views"])?.success(DEADLINE).await?;
    wait_until_counted(&stage).await?;
    let by_payload = by_payload(&sent);
    let mut oracle = Oracle::default();
    let below_archived = |found: &e2e_tests::kafka::Found| found.offset < before[found.partition as usize];
    let left = read_all(&stage.brokers, &stage.topic)?;
    ensure!(left.iter().any(|found| !below_archived(found)), "nothing is left");
    // What was archived before the fault, and what the log still holds of the rest.
    oracle.observe(&sent[..SOME]);
    for found in left.iter().filter(|found| !below_archived(found)) {
        oracle.observe([*by_payload.get(&found.payload).context("a record that was never sent")?]);
    }
    stage.reconciled_is(&oracle).await?;
    every_answer_is_exact(&client, &oracle, now).await?;
    // And it goes on.
    let more = views.batch(SOME);
    oracle.observe(&more);
    let arrived = producer.send_all(more.iter().map(|sent| &sent.record))?;
    client.total_as_of(arrived, METRIC, &[]).await?;
    every_answer_is_exact(&client, &oracle, now).await
}

#[test]
fn transactions_commit_and_abort() {
    scenario("transactions_commit_and_abort", async |scenario| {
        let Some(stage) = Stage::on_real_kafka(scenario, 3).await? else { return Ok(()) };
        let client = stage.client()?;
        let now = now_us();
        let mut views = Views::new(scenario.rng(), now, 50, SINGLE);
        let mut oracle = Oracle::default();
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &stage.brokers)
            .set("transactional.id", &stage.topic)
            .create()?;
        tokio::task::block_in_place(|| producer.init_transactions(KAFKA_WITHIN))?;
        for round in 0..20 {
            let batch = views.batch(100);
            producer.begin_transaction()?;
            send(&producer, &stage.topic, &batch)?;
            if round % 3 == 1 {
                // What is not committed yet counts as little as what never will be.
                let answer = client.total(METRIC, &[]).await?;
                let so_far = oracle.total(None, EVER);
                ensure!(answer.int("views")? <= so_far.views, "more than {so_far:?}: {answer:?}");
                tokio::task::block_in_place(|| producer.abort_transaction(KAFKA_WITHIN))?;
            } else {
                tokio::task::block_in_place(|| producer.commit_transaction(KAFKA_WITHIN))?;
                oracle.observe(&batch);
            }
            if round == 10 {
                client.total_as_of(now_us(), METRIC, &[]).await?;
                every_answer_is_exact(&client, &oracle, now).await?;
                stage.reconciled_is(&oracle).await?;
            }
        }
        // The last thing in every partition is an aborted transaction.
        producer.begin_transaction()?;
        send(&producer, &stage.topic, &views.batch(100))?;
        tokio::task::block_in_place(|| producer.abort_transaction(KAFKA_WITHIN))?;
        client.total_as_of(now_us(), METRIC, &[]).await?;
        stage.stays_exact(&oracle, now).await?;
        cuts_are_at_the_ends(&stage).await?;

        // While a transaction is open nothing behind it counts, and answers do not claim to know.
        let open = views.batch(100);
        producer.begin_transaction()?;
        send(&producer, &stage.topic, &open)?;
        let committed = views.batch(100);
        oracle.observe(&committed);
        Producer::new(&stage.brokers, &stage.topic)?.send_all(committed.iter().map(|sent| &sent.record))?;
        let answer = client.total(METRIC, &[]).await?;
        ensure!(answer.int("views")? <= oracle.total(None, EVER).views, "{answer:?}");
        tokio::task::block_in_place(|| producer.commit_transaction(KAFKA_WITHIN))?;
        oracle.observe(&open);
        client.total_as_of(now_us(), METRIC, &[]).await?;
        every_answer_is_exact(&client, &oracle, now).await?;
        stage.reconciled_is(&oracle).await?;
        cuts_are_at_the_ends(&stage).await
    });
}

#[test]
fn compacted_topic() {
    scenario("compacted_topic", async |scenario| {
        let Some(brokers) = Kafka::shared_real("compacted_topic").await? else { return Ok(()) };
        let stage = Stage::new(scenario, &brokers).await?;
        create_topic_with(&brokers, &stage.topic, 2, &[("cleanup.policy", "compact")]).await?;
        for command in ["init", "archive"] {
            let refused = stage.deployment.batch(&[command])?;
            let status = refused.end(DEADLINE).await?;
            let said = refused.output()?;
            ensure!(!status.success(), "{command} took a compacted topic: {said}");
            ensure!(said.contains("compact") && said.contains("min.compaction.lag.ms"), "{command} said: {said}");
        }
        delete_topic(&brokers, &stage.topic).await?;
        let three_days = "259200000";
        let settings = [
            ("cleanup.policy", "compact"),
            ("min.compaction.lag.ms", three_days),
            // The cleaner would be at it at once if it were allowed to.
            ("segment.bytes", "1048576"),
            ("min.cleanable.dirty.ratio", "0.0"),
        ];
        create_topic_with(&brokers, &stage.topic, 2, &settings).await?;
        stage.deployment.start_all(&LAYERS).await?;
        let now = now_us();
        let mut views = Views::new(scenario.rng(), now, 20, Mix::USUAL);
        let mut oracle = Oracle::default();
        let producer = Producer::new(&brokers, &stage.topic)?;
        let client = stage.client()?;
        for _ in 0..2 {
            // Few keys, so nearly every record has a younger one.
            let batch = views.batch(10_000);
            oracle.observe(&batch);
            let arrived = producer.send_all(batch.iter().map(|sent| &sent.record))?;
            client.total_as_of(arrived, METRIC, &[]).await?;
            every_answer_is_exact(&client, &oracle, now).await?;
            stage.reconciled_is(&oracle).await?;
        }
        // A shard that is opened again reads the same records as the first time.
        let batch = views.batch(SOME);
        oracle.observe(&batch);
        let arrived = producer.send_all(batch.iter().map(|sent| &sent.record))?;
        client.total_as_of(arrived, METRIC, &[]).await?;
        let () = redis::cmd("FLUSHALL").query_async(&mut stage.redis.connection().await?).await?;
        client.total_as_of(now_us(), METRIC, &[]).await?;
        stage.stays_exact(&oracle, now).await
    });
}

#[test]
fn whose_time_a_record_has() {
    scenario("whose_time_a_record_has", async |scenario| {
        let Some(brokers) = Kafka::shared_real("whose_time_a_record_has").await? else { return Ok(()) };
        for (kind, is_judged_by_the_broker) in [("CreateTime", false), ("LogAppendTime", true)] {
            let stage = Stage::new(scenario, &brokers).await?;
            create_topic_with(&brokers, &stage.topic, 2, &[("message.timestamp.type", kind)]).await?;
            stage.deployment.start_all(&LAYERS).await?;
            let client = stage.client()?;
            let now = now_us();
            let mut views = Views::new(scenario.rng(), now, 50, Mix::USUAL);
            let mut oracle = Oracle::default();
            let sound = views.batch(SOME);
            oracle.observe(&sound);
            Producer::new(&brokers, &stage.topic)?.send_all(sound.iter().map(|sent| &sent.record))?;
            // Records that say they are a day old, of events that happened just now: too far ahead of their records, unless
            // the broker says when they arrived.
            let mut fresh = Views::new(scenario.rng(), now, 50, Mix::PLAIN);
            let dated: Vec<_> = (0..100).map(|_| fresh.about("video-dated")).collect();
            if is_judged_by_the_broker {
                oracle.observe(&dated);
            }
            let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", &brokers).create()?;
            let yesterday = now / 1000 - 86_400_000;
            for sent in &dated {
                let record = BaseRecord::to(&stage.topic).key(&sent.record.key).payload(&sent.record.payload);
                producer.send(record.timestamp(yesterday)).map_err(|(error, _)| error)?;
            }
            producer.flush(KAFKA_WITHIN)?;
            client.total_as_of(now_us(), METRIC, &[]).await?;
            stage.stays_exact(&oracle, now).await.context(kind)?;
        }
        Ok(())
    });
}

#[test]
fn silent_partitions() {
    scenario("silent_partitions", async |scenario| {
        let Some(stage) = Stage::on_real_kafka(scenario, 6).await? else { return Ok(()) };
        let client = stage.client()?;
        let now = now_us();
        // Three partitions fall silent after the first thousand; the last is never written.
        let place = |number: usize| Some(if number < SOME { number % 5 } else { number % 2 } as i32);
        let producer = Producer::new(&stage.brokers, &stage.topic)?;
        let load = Load::placed(producer, Views::new(scenario.rng(), now, 50, SINGLE), place);
        for _ in 0..3 {
            let arrived = load.arrive(2 * SOME).await?;
            let after = async |answer: &e2e_tests::Answer| Ok(answer.complete && answer.as_of_us()? >= Some(arrived));
            stage.poll(&load, "answers to move on", after).await?;
            stage.deployment.reconcile().await?;
            let after = async |answer: &e2e_tests::Answer| Ok(answer.complete);
            stage.poll(&load, "answers to be complete", after).await?;
        }
        let stopped = load.stop().await?;
        client.total_as_of(stopped.arrived_us, METRIC, &[]).await?;
        stage.stays_exact(&stopped.oracle, now).await?;
        cuts_are_at_the_ends(&stage).await?;
        let ends = end_offsets(&stage.brokers, &stage.topic)?;
        ensure!(ends[5] == 0, "the last partition was written: {ends:?}");
        // Long silent, and then not.
        let mut views = stopped.views;
        let mut oracle = stopped.oracle;
        let mut late = views.batch(SOME);
        late.iter_mut().for_each(|sent| sent.record.partition = Some(5));
        oracle.observe(&late);
        let arrived = Producer::new(&stage.brokers, &stage.topic)?.send_all(late.iter().map(|sent| &sent.record))?;
        total_is_exact(&client.total_as_of(arrived, METRIC, &[]).await?, oracle.total(None, EVER))
    });
}

/// Waits until both layers have read everything; whether answers are complete is for the next reconcile.
async fn wait_until_counted(stage: &Stage) -> Result<()> {
    wait_for("everything to be counted and archived", DEADLINE, async || {
        let status = stage.status().await?;
        let is_done = |row: &serde_json::Value| row["speed_lag"] == 0 && row["archive_lag"] == 0;
        let done = partitions(&status)?.iter().all(is_done);
        Ok(if done { Look::Done(()) } else { Look::NotYet(status.to_string()) })
    })
    .await
}

/// Every partition's cut is where the log ends, past markers and aborted records.
async fn cuts_are_at_the_ends(stage: &Stage) -> Result<()> {
    let status = stage.status().await?;
    let ends = end_offsets(&stage.brokers, &stage.topic)?;
    let rows = partitions(&status)?;
    ensure!(rows.len() == ends.len(), "{} partitions: {status}", ends.len());
    for (row, end) in rows.iter().zip(ends) {
        ensure!(row["cuts"][METRIC] == end && row["next"] == end, "the log ends at {end}: {row}");
    }
    Ok(())
}

fn partitions(status: &serde_json::Value) -> Result<&Vec<serde_json::Value>> {
    status["partitions"].as_array().context("no partitions in the status")
}

fn send(producer: &BaseProducer, topic: &str, batch: &[Sent]) -> Result<()> {
    for sent in batch {
        let record = BaseRecord::to(topic).key(&sent.record.key).payload(&sent.record.payload);
        producer.send(record).map_err(|(error, _)| error)?;
    }
    Ok(producer.flush(KAFKA_WITHIN)?)
}

fn by_payload(sent: &[Sent]) -> HashMap<Vec<u8>, &Sent> {
    sent.iter().map(|sent| (sent.record.payload.clone(), sent)).collect()
}

/// The ids of the events of one log that the archive holds.
fn archived_ids(stage: &Stage, log: &serde_json::Value) -> Result<Vec<String>> {
    let rows = Archive::rows(&stage.deployment.store(), "views", &["_log", "_error", "event_id"])?;
    let (logs, errors, ids) =
        (rows.column("_log")?.str()?, rows.column("_error")?.str()?, rows.column("event_id")?.str()?);
    let of_the_log = (0..rows.height()).filter(|row| logs.get(*row) == log.as_str() && errors.get(*row).is_none());
    of_the_log.map(|row| Ok(ids.get(row).context("an event without an id")?.to_owned())).collect()
}
