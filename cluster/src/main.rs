//! The program `braid-cluster`: a scheduler, executors and a client of DataFusion Ballista, for reconciles of archives that are too large
//! for one machine.
//!
//! A reconcile writes an *order* for each day that others are to count, and runs `braid-cluster count ORDER`. That is one query of one row,
//! `SELECT count_order('ORDER')`, so the scheduler gives it to an executor that has a free slot, and again to another one if the first is
//! lost. The function starts `batch-layer count ORDER`, which reads the order from the store, counts, and writes the answer there. So
//! Ballista decides where and how often, and no line here knows what is counted.
//!
//! - `scheduler`, `executor`: the two kinds of processes of a cluster;
//! - `function`: what executors run;
//! - `client`: an order → a query.

mod client;
mod executor;
mod function;
mod scheduler;

use clap::{Parser, Subcommand};

/// What is logged unless `RUST_LOG` says otherwise.
const LOGGED: &str = "warn,braid_cluster=info";
/// Plans are walked by recursion. In bytes.
const STACK: usize = 16 << 20;

/// Counts days of a reconcile on several machines.
///
/// A cluster is one scheduler and any number of executors. Set `reconcile.engine` to `ballista` and `cluster.scheduler` to the
/// scheduler's address, and `batch-layer` sends it the days that it has to count.
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
    Count(client::CountArgs),
}

fn main() -> anyhow::Result<()> {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(LOGGED)).init();
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK).build()?;
    runtime.block_on(async {
        match args.command {
            Command::Scheduler(args) => scheduler::run(args).await,
            Command::Executor(args) => executor::run(args).await,
            Command::Count(args) => client::count(args).await,
        }
    })
}

/// Reads `HOST:PORT`.
fn address(text: &str) -> Result<(String, u16), String> {
    let wrong = || format!("{text:?} is not HOST:PORT, such as scheduler:50050");
    let (host, port) = text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).ok_or_else(wrong)?;
    Ok((host.to_owned(), port.parse().map_err(|_| wrong())?))
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
    fn what_an_executor_runs_stands_behind_two_dashes() {
        let parsed = |line: &str| Args::try_parse_from(line.split(' ')).map(|args| args.command);
        let command = parsed("braid-cluster executor --slots 2 -- /opt/batch-layer --settings s.toml").expect("valid");
        assert!(
            matches!(command, Command::Executor(args) if args.worker == ["/opt/batch-layer", "--settings", "s.toml"])
        );
        assert!(parsed("braid-cluster executor batch-layer").is_err());
        assert!(parsed("braid-cluster count").is_err());
    }
}
