//! A process that carries out orders, as many at a time as it has slots.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, ensure};
use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use log::info;

use crate::address;
use crate::function::{NAME, Worker, count_order};

/// Carries out orders: runs `batch-layer count` for each
///
/// It waits for the scheduler, also after that was lost. SIGTERM lets it finish what it has begun; SIGKILL leaves nothing running, and
/// others get its orders. The store's settings and the catalog are those of the reconcile, by file or environment.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid-cluster executor --scheduler scheduler:50050
  braid-cluster executor --scheduler scheduler:50050 --slots 4 -- batch-layer --settings /etc/braid.toml")]
pub(crate) struct ExecutorArgs {
    /// The scheduler's address
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:50050", value_parser = address)]
    scheduler: (String, u16),
    /// Where the scheduler fetches results: an address that it can reach; port 0 takes a free one
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:50051")]
    listen: SocketAddr,
    /// The host that the scheduler is told; without it, the one from which this process reaches it
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// How many orders are carried out at a time; each may take `reconcile.memory`
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    slots: u16,
    /// Where rows of results lie until they are fetched; a folder of temporary files by default
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,
    /// What carries out an order, `batch-layer` by default; `count ORDER` is put behind it
    #[arg(last = true, value_name = "PROGRAM")]
    pub(crate) worker: Vec<String>,
}

pub(crate) async fn run(args: ExecutorArgs) -> anyhow::Result<()> {
    let own_folder = std::env::temp_dir().join(format!("braid-cluster-{}", std::process::id()));
    let (work_dir, is_own) = match args.work_dir.clone() {
        Some(folder) => (folder, false),
        None => (own_folder, true),
    };
    std::fs::create_dir_all(&work_dir).with_context(|| format!("cannot create {}", work_dir.display()))?;
    let ended = start_executor_process(Arc::new(config(&args, &work_dir)?)).await;
    if is_own {
        // It is in a folder of temporary files.
        let _ = std::fs::remove_dir_all(&work_dir);
    }
    Ok(ended?)
}

fn config(args: &ExecutorArgs, work_dir: &std::path::Path) -> anyhow::Result<ExecutorProcessConfig> {
    let work_dir = work_dir.to_str().context("the name of the work folder is not UTF-8")?;
    let (host, port) = args.scheduler.clone();
    let worker = worker(&args.worker);
    info!("orders of {host}:{port} are carried out by {}, {} at a time", worker.program.display(), args.slots);
    let mut functions = BallistaFunctionRegistry::default();
    functions.scalar_functions.insert(NAME.to_owned(), Arc::new(count_order(Some(worker))));
    let ip = args.listen.ip();
    Ok(ExecutorProcessConfig {
        bind_host: if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() },
        external_host: args.host.clone(),
        port: port_of(args.listen)?,
        scheduler_host: host,
        scheduler_port: port,
        // It waits for as long as it takes.
        scheduler_connect_timeout_seconds: u16::MAX,
        vcores: args.slots.into(),
        task_scheduling_policy: TaskSchedulingPolicy::PullStaged,
        work_dir: Some(work_dir.to_owned()),
        override_function_registry: Some(Arc::new(functions)),
        ..ExecutorProcessConfig::default()
    })
}

/// The program that the command line names, or the one beside this program, or the one on the `PATH`.
fn worker(named: &[String]) -> Worker {
    if let Some((program, arguments)) = named.split_first() {
        return Worker { program: PathBuf::from(program), arguments: arguments.to_vec() };
    }
    let program = PathBuf::from("batch-layer");
    let beside = std::env::current_exe().map(|this| this.with_file_name(&program));
    let beside = beside.ok().filter(|beside| beside.is_file());
    Worker { program: beside.unwrap_or(program), arguments: Vec::new() }
}

/// The port; a free one in place of 0, since the scheduler has to be told.
fn port_of(listen: SocketAddr) -> anyhow::Result<u16> {
    if listen.port() != 0 {
        return Ok(listen.port());
    }
    let found = TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?.local_addr()?.port();
    ensure!(found != 0, "there is no free port on {listen}");
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_is_the_program_and_without_one_it_is_batch_layer() {
        let named = worker(&["/opt/b".to_owned(), "--data".to_owned(), "d".to_owned()]);
        assert_eq!(
            (named.program, named.arguments),
            (PathBuf::from("/opt/b"), vec!["--data".to_owned(), "d".to_owned()])
        );
        let default = worker(&[]);
        assert!(default.program.ends_with("batch-layer") && default.arguments.is_empty(), "{default:?}");
    }

    #[test]
    fn port_0_becomes_a_free_one_and_any_other_stays() {
        assert_eq!(port_of(SocketAddr::from(([127, 0, 0, 1], 7))).expect("given"), 7);
        assert_ne!(port_of(SocketAddr::from(([127, 0, 0, 1], 0))).expect("free"), 0);
    }
}
