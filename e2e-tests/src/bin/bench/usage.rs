//! What a process has used, as the kernel accounts for it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use test_kit::Process;

/// CPU time and memory of one process so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// User and system time, in seconds.
    pub(crate) cpu_seconds: f64,
    /// The most memory that was resident, in MiB.
    pub(crate) peak_mib: f64,
}

impl Usage {
    /// Of the process with that id.
    pub(crate) fn of(pid: u32) -> Result<Usage> {
        Ok(Usage { cpu_seconds: cpu_seconds(pid)?, peak_mib: memory_mib(pid, "VmHWM:")? })
    }
}

/// What a process took that did its work and ended.
#[derive(Debug)]
pub(crate) struct Took {
    /// From its start to its end.
    pub(crate) seconds: f64,
    /// User and system time, in seconds.
    pub(crate) cpu_seconds: f64,
    /// The most memory that was resident, in MiB.
    pub(crate) peak_mib: f64,
    /// What it printed.
    pub(crate) output: String,
}

impl Took {
    /// Starts the process and waits until it has ended with success.
    pub(crate) async fn by(start: impl FnOnce() -> Result<Process>) -> Result<Took> {
        let began = Instant::now();
        let process = start()?;
        let (mut peak_mib, mut cpu): (f64, f64) = (0.0, 0.0);
        let status = loop {
            // Also of a process that has ended, until it is asked how.
            cpu = cpu_seconds(process.id()).map_or(cpu, |seconds| cpu.max(seconds));
            // What has ended has no memory any more.
            if let Ok(usage) = Usage::of(process.id()) {
                peak_mib = peak_mib.max(usage.peak_mib);
            }
            if let Some(status) = process.ended()? {
                break status;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        let (seconds, output) = (began.elapsed().as_secs_f64(), process.output()?);
        ensure!(status.success(), "a process ended with {status}: {output}");
        Ok(Took { seconds, cpu_seconds: cpu, peak_mib, output })
    }
}

/// The memory of a process that is resident now, in MiB.
pub(crate) fn resident_mib(pid: u32) -> Result<f64> {
    memory_mib(pid, "VmRSS:")
}

/// User and system time of a process, in seconds.
fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().context("no fields")?.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    // A hundred ticks a second on every Linux that Braid runs on.
    Ok(ticks as f64 / 100.0)
}

fn memory_mib(pid: u32, what: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let memory = status.lines().find_map(|line| line.strip_prefix(what)).with_context(|| format!("no {what}"))?;
    let kib: f64 = memory.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}
