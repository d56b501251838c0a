//! What a system and the broker use while it counts.

use std::time::Instant;

use anyhow::Result;

use crate::usage::Usage;

/// The processes of a system, and the broker, from a moment on.
pub(super) struct Meter {
    began: Instant,
    /// Each with the CPU seconds that it had used before.
    processes: Vec<(u32, f64)>,
    broker: (u32, f64),
}

/// What was used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spent {
    pub(super) seconds: f64,
    /// Of the system's processes together.
    pub(super) cpu_seconds: f64,
    pub(super) broker_cpu_seconds: f64,
    /// The most memory that was resident, of each of the system's processes since its start, together.
    pub(super) peak_mib: f64,
}

impl Meter {
    /// From now on.
    pub(super) fn start(processes: &[u32], broker: u32) -> Result<Meter> {
        let processes = processes.iter().map(|pid| used_by(*pid)).collect::<Result<Vec<_>>>()?;
        Ok(Meter { began: Instant::now(), processes, broker: used_by(broker)? })
    }

    /// And of another process, which was started since.
    pub(super) fn join(&mut self, pid: u32) {
        self.processes.push((pid, 0.0));
    }

    /// Until now.
    pub(super) fn spent(&self) -> Result<Spent> {
        let seconds = self.began.elapsed().as_secs_f64();
        let (mut cpu_seconds, mut peak_mib) = (0.0, 0.0);
        for (pid, before) in &self.processes {
            let usage = Usage::of(*pid)?;
            cpu_seconds += usage.cpu_seconds - before;
            peak_mib += usage.peak_mib;
        }
        let (broker, before) = self.broker;
        let broker_cpu_seconds = Usage::of(broker)?.cpu_seconds - before;
        Ok(Spent { seconds, cpu_seconds, broker_cpu_seconds, peak_mib })
    }
}

/// A process, and the CPU seconds that it has used so far.
fn used_by(pid: u32) -> Result<(u32, f64)> {
    Ok((pid, Usage::of(pid)?.cpu_seconds))
}
