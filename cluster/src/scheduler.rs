//! The process that gives orders to executors. It keeps nothing: after a restart, executors come back by themselves, and reconciles send
//! again what was not answered.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::utils::default_session_builder;
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::{create_scheduler, start_grpc_service_with_listener};
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::prelude::SessionConfig;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tokio::net::TcpListener;

use crate::function::count_order;

/// How long what executors keep of a query that has ended is kept: a row. In seconds.
const KEPT: u64 = 60;

/// Gives orders to executors that have a free slot
///
/// Prints `ready scheduler=ADDRESS` once it listens. Nothing is encrypted and nobody is asked for a name: let it be reached by reconciles
/// and executors only.
#[derive(Debug, clap::Args)]
pub(crate) struct SchedulerArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:50050")]
    listen: SocketAddr,
    /// After how many seconds without a sign of life an executor is lost, and others get its orders; they give one at least every 5 s
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(8..=3600))]
    executor_timeout: u64,
}

pub(crate) async fn run(args: SchedulerArgs) -> anyhow::Result<()> {
    let listener = TcpListener::bind(args.listen).await;
    let listener = listener.with_context(|| format!("cannot listen on {}", args.listen))?;
    let address = listener.local_addr()?;
    let config = Arc::new(config(address, args.executor_timeout));
    config.validate()?;
    let cluster = BallistaCluster::new_from_config(&config).await?;
    let scheduler = create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster, config).await?;
    println!("ready scheduler={address}");
    Ok(start_grpc_service_with_listener(listener, scheduler).await?)
}

fn config(address: SocketAddr, executor_timeout: u64) -> SchedulerConfig {
    let mut config = SchedulerConfig::default()
        .with_hostname(address.ip().to_string())
        .with_port(address.port())
        // Executors ask. So the scheduler needs no way to them to give them orders, and each takes what it has room for.
        .with_scheduler_policy(TaskSchedulingPolicy::PullStaged)
        // Nor do clients: the row that a query returns comes by way of the scheduler.
        .with_enable_embedded_flight_proxy(true)
        .with_no_executors_grace_period_seconds(executor_timeout)
        .with_finished_job_data_clean_up_interval_seconds(KEPT)
        .with_finished_job_state_clean_up_interval_seconds(KEPT)
        .with_override_session_builder(Arc::new(session));
    config.bind_host = address.ip().to_string();
    config.executor_timeout_seconds = executor_timeout;
    config.expire_dead_executor_interval_seconds = (executor_timeout / 8).max(1);
    config
}

/// A session that knows the function.
fn session(config: SessionConfig) -> datafusion::common::Result<SessionState> {
    let mut state = default_session_builder(config)?;
    state.register_udf(Arc::new(count_order(None)))?;
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_executor_is_noticed_within_its_time_and_a_quarter() {
        for executor_timeout in [8, 30, 3600] {
            let config = config(SocketAddr::from(([127, 0, 0, 1], 7)), executor_timeout);
            assert_eq!(config.scheduler_endpoint(), "127.0.0.1:7");
            assert_eq!(config.executor_timeout_seconds, executor_timeout);
            let looks = config.expire_dead_executor_interval_seconds;
            assert!((1..=executor_timeout / 4).contains(&looks), "every {looks} s of {executor_timeout}");
            assert!(!config.is_push_staged_scheduling());
        }
    }

    #[test]
    fn a_session_knows_the_function() {
        let state = session(SessionConfig::new()).expect("a session");
        assert!(state.scalar_functions().contains_key(crate::function::NAME));
    }
}
