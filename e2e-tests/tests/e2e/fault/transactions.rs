//! Transactions: what is not committed does not count, and the markers that they leave in the log do not hold up any cut.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e_tests::kafka::is_all_readable;
use e2e_tests::oracle::EVER;
use e2e_tests::scenario::now_us;
use e2e_tests::views::{METRIC, Mix, Sent};
use e2e_tests::{Oracle, Stage, scenario};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use test_kit::{DEADLINE, Progress, wait_for};
use tokio::task::block_in_place;

const WITHIN: Duration = Duration::from_secs(30);
const SOME: usize = 100;

#[test]
fn transactions_commit_and_abort() {
    scenario("transactions_commit_and_abort", async |scenario| {
        let Some(stage) = Stage::of(scenario).partitions(3).start_on_real_kafka().await? else { return Ok(()) };
        let mut traffic = stage.traffic(50, Mix::NO_COPIES)?;
        let producer = TransactionalProducer::new(&stage)?;
        for round in 0..20 {
            let batch = traffic.views.batch(SOME);
            producer.begin_and_send(&batch)?;
            if round % 3 == 1 {
                // Records that are not committed yet are not counted, nor are those that never will be.
                counts_no_more_than(&stage, &traffic.oracle).await?;
                producer.abort()?;
            } else {
                producer.commit()?;
                traffic.oracle.observe(&batch);
            }
            if round == 10 {
                stage.total_as_of(now_us()).await?;
                stage.is_exact(&traffic.oracle).await?;
                stage.reconciled_is(&traffic.oracle).await?;
            }
        }
        // The last thing in every partition is an aborted transaction.
        producer.begin_and_send(&traffic.views.batch(SOME))?;
        producer.abort()?;
        stage.total_as_of(now_us()).await?;
        stage.stays_exact(&traffic.oracle).await?;
        stage.cuts_are_at_the_ends().await?;

        // While a transaction is open, nothing behind it counts, and no answer claims to include it.
        let open = traffic.views.batch(SOME);
        producer.begin_and_send(&open)?;
        traffic.send(SOME)?;
        counts_no_more_than(&stage, &traffic.oracle).await?;
        producer.commit()?;
        is_readable(&stage).await?;
        traffic.oracle.observe(&open);
        stage.total_as_of(now_us()).await?;
        stage.is_exact(&traffic.oracle).await?;
        stage.reconciled_is(&traffic.oracle).await?;
        stage.cuts_are_at_the_ends().await
    });
}

/// Waits until readers may read everything: a commit is decided before it stands in each partition.
async fn is_readable(stage: &Stage) -> Result<()> {
    wait_for("the end of a transaction in every partition", DEADLINE, async || {
        Ok(Progress::when(is_all_readable(&stage.brokers, &stage.topic)?, "a transaction is open"))
    })
    .await
}

async fn counts_no_more_than(stage: &Stage, oracle: &Oracle) -> Result<()> {
    let (answer, most) = (stage.client()?.total(METRIC, &[]).await?, oracle.total(None, EVER));
    ensure!(answer.int("views")? <= most.views, "more than {most:?}: {answer:?}");
    Ok(())
}

struct TransactionalProducer<'a> {
    inner: BaseProducer,
    topic: &'a str,
}

impl TransactionalProducer<'_> {
    fn new(stage: &Stage) -> Result<TransactionalProducer<'_>> {
        let inner: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &stage.brokers)
            .set("transactional.id", &stage.topic)
            .create()?;
        block_in_place(|| inner.init_transactions(WITHIN))?;
        Ok(TransactionalProducer { inner, topic: &stage.topic })
    }

    fn begin_and_send(&self, batch: &[Sent]) -> Result<()> {
        self.inner.begin_transaction()?;
        for sent in batch {
            let record = BaseRecord::to(self.topic).key(&sent.record.key).payload(&sent.record.payload);
            self.inner.send(record).map_err(|(error, _)| error)?;
        }
        Ok(self.inner.flush(WITHIN)?)
    }

    fn commit(&self) -> Result<()> {
        Ok(block_in_place(|| self.inner.commit_transaction(WITHIN))?)
    }

    fn abort(&self) -> Result<()> {
        Ok(block_in_place(|| self.inner.abort_transaction(WITHIN))?)
    }
}
