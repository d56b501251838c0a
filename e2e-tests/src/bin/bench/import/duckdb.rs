//! DuckDB, as the second observer's environment has it.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, anyhow, ensure};
use e2e_tests::observer;
use test_kit::Process;

use crate::usage::Took;

/// DuckDB in a process of its own.
pub(crate) struct DuckDb {
    python: &'static Path,
}

impl DuckDb {
    /// Finds it, or fetches it.
    pub(crate) fn find() -> Result<DuckDb> {
        let python = observer::python().map_err(|why| anyhow!("benchmarks of imports need DuckDB: {why}"))?;
        Ok(DuckDb { python })
    }

    /// Reads all of a file that has so many rows, by as many threads as there are processors. What it prints lies in `folder`.
    pub(crate) async fn read(&self, file: &Path, rows: usize, folder: &Path) -> Result<Took> {
        let mut command = Command::new(self.python);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/duckdb_reads.py")).arg(file).current_dir(folder);
        let took = Took::by(|| Process::start("duckdb", command, &folder.join("duckdb.out"))).await?;
        // Packages may print warnings besides.
        let read = took.output.lines().find_map(|line| line.parse::<usize>().ok());
        ensure!(read == Some(rows), "DuckDB has not read {rows} rows: {}", took.output);
        Ok(took)
    }
}
