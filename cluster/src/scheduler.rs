//! The process that plans queries, and gives parts of them to executors. It keeps nothing: after a restart, executors come back by
//! themselves, and reconciles ask again what was not answered.
//!
//! A part is begun again elsewhere if its executor is lost, and so are those parts whose rows lay there and are still needed.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use ballista_core::config::TaskSchedulingPolicy;
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::{create_scheduler, start_grpc_service_with_listener};
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tokio::net::TcpListener;

use crate::session;

/// How long executors keep the answer of a query that has ended; who asks begins to read it at once. In seconds.
const KEPT: u64 = 300;
/// How often a part of a query is begun, and a stage of which parts were lost, before the query fails. One lost executor may count for
/// more than one.
const ATTEMPTS: usize = 8;

/// Plans queries, and gives parts of them to executors that have a free slot
///
/// Prints `ready scheduler=ADDRESS` once it listens. Nothing is encrypted and nobody is asked for a name: let it be reached by reconciles
/// and executors only.
#[derive(Debug, clap::Args)]
pub(crate) struct SchedulerArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:50050")]
    listen: SocketAddr,
    /// After how many seconds without a sign of life an executor is lost, and others do what it did; it gives one at least every 5 s
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
        // Nor do clients: the rows that a query returns come by way of the scheduler.
        .with_enable_embedded_flight_proxy(true)
        .with_no_executors_grace_period_seconds(executor_timeout)
        .with_finished_job_data_clean_up_interval_seconds(KEPT)
        .with_finished_job_state_clean_up_interval_seconds(KEPT)
        .with_grpc_server_max_decoding_message_size(session::MESSAGE_MAX)
        .with_grpc_server_max_encoding_message_size(session::MESSAGE_MAX)
        .with_grpc_client_max_message_size(session::MESSAGE_MAX)
        .with_override_session_builder(Arc::new(session::planner));
    config.bind_host = address.ip().to_string();
    config.executor_timeout_seconds = executor_timeout;
    config.expire_dead_executor_interval_seconds = (executor_timeout / 8).max(1);
    config.task_max_failures = ATTEMPTS;
    config.stage_max_failures = ATTEMPTS;
    config
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
}
