//! The program `braid-cluster`: a scheduler, executors and a client of DataFusion Ballista, for reconciles of archives that are too large
//! for one machine.
//!
//! A reconcile says what it counts as SQL, and runs `braid-cluster query`, which lets a cluster answer that: executors read the archive's
//! files and group their events, and the rows of the answer go back through a pipe. What events are and what measures add up to is
//! decided by `shared-logic`, which has written the query; executors have its registered functions.
//!
//! - `scheduler`, `executor`: the two kinds of processes of a cluster;
//! - `query`: a request → its answer, in `frames`;
//! - `session`: how queries are planned and run, with `functions` and `stores`;
//! - `equality`: a test that SQL counts what Polars does.

#[cfg(test)]
mod equality;
mod executor;
mod frames;
mod functions;
mod query;
mod scheduler;
mod session;
mod stores;

use clap::{Parser, Subcommand};

/// What is logged unless `RUST_LOG` says otherwise.
const LOGGED: &str = "warn,braid_cluster=info";
/// Plans are walked by recursion. In bytes.
const STACK: usize = 16 << 20;

/// Counts days of a reconcile, and the rows of reports, on several machines.
///
/// A cluster is one scheduler and any number of executors. Set `reconcile.engine` to `ballista://HOST:PORT`, the scheduler's address, and
/// `batch-layer` asks it what is large enough.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Scheduler(scheduler::SchedulerArgs),
    Executor(executor::ExecutorArgs),
    /// Reads a request from standard input, and writes the cluster's answer to standard output; `batch-layer` runs this
    ///
    /// The request is JSON, and the answer pieces of Parquet, each behind its length of 8 bytes, with a length of 0 behind the last one.
    /// The exit code is 0 once all is written, and 1 if the query fails; standard error says why. It ends once nobody reads the answer.
    Query,
}

fn main() -> anyhow::Result<()> {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(LOGGED)).init();
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK).build()?;
    runtime.block_on(async {
        match args.command {
            Command::Scheduler(args) => scheduler::run(args).await,
            Command::Executor(args) => executor::run(args).await,
            Command::Query => query::run().await,
        }
    })
}

/// Reads `HOST:PORT`.
fn address(text: &str) -> Result<(String, u16), String> {
    let wrong = || format!("{text:?} is not HOST:PORT, such as scheduler:50050");
    let (host, port) = text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).ok_or_else(wrong)?;
    Ok((host.to_owned(), port.parse().map_err(|_| wrong())?))
}

/// Reads an amount in bytes, with its unit.
fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u32); 3] = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let wrong = || format!("{text:?} is not a size such as 512MiB or 8GiB");
    let read = UNITS.iter().find_map(|(unit, bits)| Some((text.strip_suffix(*unit)?, *bits)));
    let (number, bits) = read.ok_or_else(wrong)?;
    let number: u64 = number.trim_end().parse().map_err(|_| wrong())?;
    number.checked_mul(1 << bits).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn an_address_has_a_host_and_a_port() {
        assert_eq!(address("scheduler:50050"), Ok(("scheduler".to_owned(), 50_050)));
        assert_eq!(address("[::1]:7"), Ok(("[::1]".to_owned(), 7)));
        for text in ["", "scheduler", ":50050", "scheduler:", "scheduler:70000"] {
            assert!(address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_size_has_a_unit() {
        assert_eq!((size("64MiB"), size("2 GiB"), size("0KiB")), (Ok(64 << 20), Ok(2 << 30), Ok(0)));
        for text in ["", "64", "MiB", "-1MiB", "64MB", "99999999999999GiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_executor_is_told_its_slots_and_its_memory() {
        let parsed = |line: &str| Args::try_parse_from(line.split(' ')).map(|args| args.command);
        assert!(matches!(parsed("braid-cluster executor --slots 2 --memory 1GiB"), Ok(Command::Executor(_))));
        assert!(matches!(parsed("braid-cluster query"), Ok(Command::Query)));
        for line in
            ["executor --memory 1", "executor --slots 0", "executor -- batch-layer", "query v1/m/7", "count v1/m/7"]
        {
            assert!(parsed(&format!("braid-cluster {line}")).is_err(), "{line}");
        }
    }
}
