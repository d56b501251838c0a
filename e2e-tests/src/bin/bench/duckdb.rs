//! DuckDB, as the second observer's environment has it: what stands beside imports, full reconciles and reports.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, ensure};
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
        let python = observer::python().map_err(|why| anyhow!("these benchmarks need DuckDB: {why}"))?;
        Ok(DuckDb { python })
    }

    /// Reads all of a file that has so many rows, by as many threads as there are processors. What it prints lies in `folder`.
    pub(crate) async fn read(&self, file: &Path, rows: usize, folder: &Path) -> Result<Took> {
        let (took, read) = self.run("duckdb_reads.py", &[file], folder).await?;
        ensure!(read == rows, "DuckDB has not read {rows} rows: {}", took.output);
        Ok(took)
    }

    /// Counts the events of files of an archive by two threads, as a full reconcile does: the first copy of each event, per key and
    /// bucket. Returns what the faster one of two ways to find copies took, and how many rows it has written to `folder`.
    pub(crate) async fn count(&self, files: &[PathBuf], folder: &Path) -> Result<(Took, usize)> {
        std::fs::create_dir_all(folder)?;
        let (list, counted) = (folder.join("files"), folder.join("counted.parquet"));
        let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        std::fs::write(&list, files.join("\n"))?;
        let window = self.run("duckdb_counts.py", &[&list, &counted, Path::new("window")], folder).await?;
        let group = self.run("duckdb_counts.py", &[&list, &counted, Path::new("group")], folder).await?;
        ensure!(window.1 == group.1, "DuckDB counts {} rows or {}", window.1, group.1);
        Ok(if window.0.seconds < group.0.seconds { window } else { group })
    }

    /// Computes the rows of a report from the files of two archives by that rival, and writes them to `folder`. Returns what that took, and
    /// how many rows there are.
    pub(crate) async fn report(&self, files: &[Vec<PathBuf>; 2], folder: &Path, rival: &str) -> Result<(Took, usize)> {
        let listed = |files: &Vec<PathBuf>| {
            files.iter().map(|file| file.display().to_string()).collect::<Vec<String>>().join("\n")
        };
        let (list, written) = (folder.join("files"), folder.join(format!("{rival}.parquet")));
        std::fs::write(&list, files.each_ref().map(listed).join("\n\n"))?;
        self.run("report_rivals.py", &[&list, &written, Path::new(rival)], folder).await
    }

    /// Runs a script, which prints a number.
    async fn run(&self, script: &str, arguments: &[&Path], folder: &Path) -> Result<(Took, usize)> {
        let mut command = Command::new(self.python);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script)).args(arguments).current_dir(folder);
        let took = Took::by(|| Process::start("duckdb", command, &folder.join("duckdb.out"))).await?;
        // Packages may print warnings besides.
        let number = took.output.lines().find_map(|line| line.parse().ok());
        let number = number.with_context(|| format!("DuckDB has not said how many rows there are: {}", took.output))?;
        Ok((took, number))
    }
}
