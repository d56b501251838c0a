//! A process that does parts of queries, as many at a time as it has slots.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, ensure};
use ballista_core::config::TaskSchedulingPolicy;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use datafusion::prelude::SessionConfig;
use log::info;

use crate::{address, session, size, stores};

/// What a slot needs at least, so that its sorts can begin. In bytes.
const SLOT_MIN: u64 = 64 << 20;
/// How long rows of a query lie in the work folder if the scheduler does not say that they are needed no more, as one that was restarted
/// does not; and how often it is looked for such. In seconds.
const LEFT: (u64, u64) = (6 * 3600, 1800);

/// Does parts of queries: reads files, counts, and keeps rows until others fetch them
///
/// It waits for the scheduler, also after that was lost. With it, the rows that it keeps are lost, and others do again what is still needed of
/// that: after SIGTERM at once, and after it was killed as soon as the scheduler misses it.
/// The settings of a store of S3 are taken from the environment: AWS_ENDPOINT, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION,
/// AWS_ALLOW_HTTP, AWS_VIRTUAL_HOSTED_STYLE_REQUEST.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid-cluster executor --scheduler scheduler:50050
  braid-cluster executor --scheduler scheduler:50050 --slots 4 --memory 8GiB --work-dir /var/lib/braid-cluster")]
pub(crate) struct ExecutorArgs {
    /// The scheduler's address
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:50050", value_parser = address)]
    scheduler: (String, u16),
    /// Where the scheduler and other executors fetch rows: an address that they can reach; port 0 takes a free one
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:50051")]
    listen: SocketAddr,
    /// The host that the scheduler is told; without it, the one from which this process reaches it
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// How many parts are done at a time; each takes a processor
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    slots: u16,
    /// The memory for rows that are sorted and grouped, of all slots together: what does not fit goes to the work folder. By default 70 %
    /// of what the machine or its container has. The process itself comes on top
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory: Option<u64>,
    /// Where rows lie until they are fetched, and what does not fit into memory: a folder that no other executor has. One of temporary files
    /// by default
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,
}

pub(crate) async fn run(args: ExecutorArgs) -> anyhow::Result<()> {
    let own_folder = std::env::temp_dir().join(format!("braid-cluster-{}", std::process::id()));
    let (work_dir, is_own) = match args.work_dir.clone() {
        Some(folder) => (folder, false),
        None => (own_folder, true),
    };
    fs::create_dir_all(&work_dir).with_context(|| format!("cannot create {}", work_dir.display()))?;
    let ended = start_executor_process(Arc::new(config(&args, &work_dir)?)).await;
    if is_own {
        // It is in a folder of temporary files.
        let _ = fs::remove_dir_all(&work_dir);
    }
    Ok(ended?)
}

fn config(args: &ExecutorArgs, work_dir: &Path) -> anyhow::Result<ExecutorProcessConfig> {
    // Ballista cleans the folder of rows, and may not take the other one for those of an old query.
    let (rows, spills) = (work_dir.join("rows"), work_dir.join("spills"));
    // What a process that was killed has left there is nobody's, and nobody else deletes it.
    if spills.exists() {
        fs::remove_dir_all(&spills).with_context(|| format!("cannot empty {}", spills.display()))?;
    }
    for folder in [&rows, &spills] {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let rows = rows.to_str().context("the name of the work folder is not UTF-8")?.to_owned();
    let (host, port) = args.scheduler.clone();
    let slots = u64::from(args.slots);
    if let Some(memory) = args.memory {
        let least = (slots * SLOT_MIN) >> 20;
        ensure!(memory >= slots * SLOT_MIN, "--memory is too little for {slots} slots: give at least {least}MiB");
    }
    info!("parts of queries of {host}:{port} are done in {}, {slots} at a time", work_dir.display());
    let (ip, message_max) = (args.listen.ip(), session::MESSAGE_MAX);
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
        work_dir: Some(rows),
        job_data_ttl_seconds: LEFT.0,
        job_data_clean_up_interval_seconds: LEFT.1,
        grpc_max_decoding_message_size: message_max,
        grpc_max_encoding_message_size: message_max,
        memory_pool_size: args.memory,
        override_function_registry: Some(Arc::new(session::registry())),
        override_runtime_producer: Some(Arc::new(move |_: &SessionConfig| stores::runtime(Some(spills.as_path())))),
        ..ExecutorProcessConfig::default()
    })
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

    fn args(slots: u16, memory: Option<u64>) -> ExecutorArgs {
        let (scheduler, listen) = (("scheduler".to_owned(), 50_050), SocketAddr::from(([127, 0, 0, 1], 7)));
        ExecutorArgs { scheduler, listen, host: None, slots, memory, work_dir: None }
    }

    #[test]
    fn a_slot_has_enough_memory_for_its_sorts() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = |slots, memory| config(&args(slots, memory), folder.path());
        let text = config(2, Some(SLOT_MIN)).err().expect("too little").to_string();
        assert!(text.contains("128MiB"), "{text}");
        assert_eq!(config(2, Some(2 * SLOT_MIN)).expect("enough").memory_pool_size, Some(2 * SLOT_MIN));
        assert_eq!(config(2, None).expect("the default").memory_pool_size, None);
    }

    #[test]
    fn what_does_not_fit_into_memory_lies_beside_the_rows_that_others_fetch() {
        let folder = tempfile::tempdir().expect("a folder");
        let left = folder.path().join("spills").join("of one that was killed");
        fs::create_dir_all(&left).expect("a folder");
        let config = config(&args(3, None), folder.path()).expect("a configuration");
        assert_eq!(config.vcores, 3);
        let rows = config.work_dir.expect("a folder");
        assert!(Path::new(&rows).is_dir() && folder.path().join("spills").is_dir() && !left.exists(), "{rows}");
        let runtime = config.override_runtime_producer.expect("our own")(&session::config(1)).expect("a runtime");
        let spill = runtime.disk_manager.create_tmp_file("a test").expect("a file");
        let spill = spill.path().expect("a file of a disk");
        assert!(spill.starts_with(folder.path().join("spills")), "{}", spill.display());
    }

    #[test]
    fn port_0_becomes_a_free_one_and_any_other_stays() {
        assert_eq!(port_of(SocketAddr::from(([127, 0, 0, 1], 7))).expect("given"), 7);
        assert_ne!(port_of(SocketAddr::from(([127, 0, 0, 1], 0))).expect("free"), 0);
    }
}
