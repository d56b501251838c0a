//! An order → a query of one row, and a wait for its end.

use anyhow::{Context, ensure};
use ballista::prelude::{SessionConfigExt, SessionContextExt};
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext, lit};

use crate::address;
use crate::function::count_order;

/// Lets an executor carry out an order, and waits until it has; `batch-layer` runs this
///
/// The exit code is 0 once it has, and 1 if it could not, or if the scheduler does not answer.
#[derive(Debug, clap::Args)]
pub(crate) struct CountArgs {
    /// The scheduler's address
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:50050", value_parser = address)]
    scheduler: (String, u16),
    /// Where the order lies
    #[arg(value_name = "ORDER")]
    order: String,
}

pub(crate) async fn count(args: CountArgs) -> anyhow::Result<()> {
    let (host, port) = args.scheduler;
    let config = SessionConfig::new_with_ballista().with_ballista_job_name(&args.order);
    let state = SessionStateBuilder::new().with_default_features().with_config(config).build();
    let context = SessionContext::remote_with_state(&format!("df://{host}:{port}"), state).await?;
    let function = count_order(None);
    // A context for a cluster has its own functions and no others, so it is told after it was made.
    context.register_udf(function.clone());
    let query = context.read_empty()?.select(vec![function.call(vec![lit(args.order.as_str())]).alias("counted")])?;
    let rows = query.collect().await.with_context(|| format!("the cluster at {host}:{port} has not counted"))?;
    let rows: usize = rows.iter().map(|batch| batch.num_rows()).sum();
    ensure!(rows == 1, "the cluster at {host}:{port} has returned {rows} rows in place of one");
    Ok(())
}
