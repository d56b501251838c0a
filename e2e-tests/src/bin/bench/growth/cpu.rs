//! CPU that processes have used.

use std::fs;
use std::ops::Sub;

use anyhow::{Context, Result, ensure};

use crate::usage::Usage;

/// CPU seconds of the broker so far: of the children of this process that are called `java`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Broker(pub(super) f64);

impl Broker {
    /// As of now.
    pub(super) fn now() -> Result<Broker> {
        let this = std::process::id().to_string();
        let (mut seconds, mut found) = (0.0, false);
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            // What has ended meanwhile is none of ours.
            let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
            let (head, rest) = stat.rsplit_once(')').context("no name")?;
            if head.ends_with("(java") && rest.split_whitespace().nth(1) == Some(this.as_str()) {
                seconds += Usage::of(pid)?.cpu_seconds;
                found = true;
            }
        }
        ensure!(found, "the broker is no child of this process");
        Ok(Broker(seconds))
    }
}

impl Sub for Broker {
    type Output = f64;

    fn sub(self, before: Broker) -> f64 {
        self.0 - before.0
    }
}
