//! What a process has used, as the kernel accounts for it.

use anyhow::{Context, Result};

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
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let fields: Vec<&str> = stat.rsplit(')').next().context("no fields")?.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        // A hundred ticks a second on every Linux that Braid runs on.
        Ok(Usage { cpu_seconds: ticks as f64 / 100.0, peak_mib: memory_mib(pid, "VmHWM:")? })
    }
}

/// The memory of a process that is resident now, in MiB.
pub(crate) fn resident_mib(pid: u32) -> Result<f64> {
    memory_mib(pid, "VmRSS:")
}

fn memory_mib(pid: u32, what: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let memory = status.lines().find_map(|line| line.strip_prefix(what)).with_context(|| format!("no {what}"))?;
    let kib: f64 = memory.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}
