//! Where a comparison runs, and on what.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// A machine.
pub(super) struct Machine {
    pub(super) processors: usize,
    pub(super) memory_gib: f64,
    /// What the processor calls itself.
    pub(super) model: String,
    /// What Java says of itself.
    pub(super) java: String,
    /// What Redis says of itself.
    pub(super) redis: String,
}

impl Machine {
    /// This one.
    pub(super) fn this() -> Result<Machine> {
        let memory = line("/proc/meminfo", "MemTotal")?;
        let kib = memory.trim_end_matches(" kB").parse::<f64>().with_context(|| memory.clone())?;
        Ok(Machine {
            processors: std::thread::available_parallelism()?.get(),
            memory_gib: kib / f64::from(1 << 20),
            // Not every processor has a name.
            model: line("/proc/cpuinfo", "model name").unwrap_or_else(|_| "an unnamed processor".to_owned()),
            java: first_word_after(&said("java", "-version")?, "version ")?,
            redis: first_word_after(&said("redis-server", "--version")?, "v=")?,
        })
    }
}

/// What the first line of that name says.
fn line(path: &str, name: &str) -> Result<String> {
    let text = fs::read_to_string(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
    Ok(line.with_context(|| format!("{path} has no {name}"))?.trim().to_owned())
}

/// All that a program prints.
fn said(program: &str, argument: &str) -> Result<String> {
    let output = Command::new(program).arg(argument).output().with_context(|| format!("cannot run {program}"))?;
    ensure!(output.status.success(), "{program} {argument}: {output:?}");
    let [out, error] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok(out + &error)
}

fn first_word_after(text: &str, before: &str) -> Result<String> {
    let (_, after) = text.split_once(before).with_context(|| format!("no {before:?} in {text:?}"))?;
    Ok(after.split_whitespace().next().unwrap_or_default().trim_matches('"').to_owned())
}
