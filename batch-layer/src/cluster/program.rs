//! One attempt at a query: a process that asks the cluster, and ends.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use platform::settings;
use platform::store::s3_variables;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::answer::Answer;
use super::error::ClusterError;

/// How much of what the program says is repeated in an error, in bytes.
const SAID_MAX: usize = 2_000;

/// The program that asks.
pub(super) struct Program {
    path: PathBuf,
    /// The variables that it gets besides; `None`: one of this process's that it does not get.
    variables: BTreeMap<String, Option<String>>,
}

impl Program {
    /// The program of that name, for tables in that store.
    pub(super) fn of(name: &Path, store: &settings::Store) -> Program {
        let own = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        Program { path: found(name), variables: s3_variables(store, own) }
    }

    /// Runs it once. If this is dropped before the process has ended, nobody reads what it writes any more: so it lets the cluster end what was
    /// begun, and ends. One that was killed could not, and executors would go on for nobody.
    pub(super) async fn ask(&self, query: &str, request: &[u8]) -> Result<Answer, ClusterError> {
        let not_kept = |source| ClusterError::not_kept(query, source);
        let file = platform::task::blocking(tempfile::tempfile).await.map_err(not_kept)?;
        let mut command = Command::new(&self.path);
        command.arg("query").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, value) in &self.variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let mut process = command.spawn().map_err(|source| self.not_run(source))?;
        let pipes = (process.stdin.take(), process.stdout.take(), process.stderr.take());
        let (Some(mut stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(self.not_run(io::Error::other("it has no pipes")));
        };
        let given = async move {
            // One that ends before it has read everything says why.
            drop(stdin.write_all(request).await);
            drop(stdin);
        };
        let ((), kept, said, ended) = tokio::join!(given, kept(stdout, file), end_of(stderr), process.wait());
        let file = kept.map_err(not_kept)?;
        let status = ended.map_err(|source| self.not_run(source))?;
        if !status.success() {
            let said = if said.is_empty() { format!("it ended with {status} and said nothing") } else { said };
            return Err(ClusterError::Failed { query: query.to_owned(), said });
        }
        Answer::of(query, file).await
    }

    fn not_run(&self, source: io::Error) -> ClusterError {
        let program = self.path.clone();
        match source.kind() {
            ErrorKind::NotFound => ClusterError::NoProgram { program },
            _ => ClusterError::NotRun { program, source },
        }
    }
}

/// Where a program lies: beside this one, if it is only a name and lies there.
fn found(program: &Path) -> PathBuf {
    let beside = std::env::current_exe().map(|this| this.with_file_name(program));
    match beside {
        Ok(beside) if program.components().count() == 1 && beside.is_file() => beside,
        _ => program.to_owned(),
    }
}

/// Writes everything that is read into a file, and returns it.
async fn kept(mut from: impl AsyncRead + Unpin, file: File) -> io::Result<File> {
    let mut file = tokio::fs::File::from_std(file);
    tokio::io::copy(&mut from, &mut file).await?;
    file.flush().await?;
    Ok(file.into_std().await)
}

/// Reads everything, and returns the end of it as a text.
async fn end_of(mut from: impl AsyncRead + Unpin) -> String {
    let (mut end, mut read) = (Vec::new(), vec![0_u8; 4_096]);
    while let Ok(length @ 1..) = from.read(&mut read).await {
        end.extend_from_slice(&read[..length]);
        end.drain(..end.len().saturating_sub(SAID_MAX));
    }
    String::from_utf8_lossy(&end).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_end_of_a_long_text_is_repeated() {
        let said = "x".repeat(3 * SAID_MAX) + "é the reason\n";
        let end = end_of(said.as_bytes()).await;
        assert!(end.len() <= SAID_MAX && end.ends_with("é the reason"), "{} bytes", end.len());
        assert_eq!(end_of(&b" short \n"[..]).await, "short");
    }

    #[tokio::test]
    async fn what_a_program_writes_is_kept_whole_however_long_it_is() {
        let written: Vec<u8> = (0..1_000_000u32).map(|number| number as u8).collect();
        let file = kept(written.as_slice(), tempfile::tempfile().expect("a file")).await.expect("kept");
        let mut read = vec![0; written.len()];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut read, 0).expect("read");
        assert!(read == written && file.metadata().expect("a file").len() == written.len() as u64);
    }

    #[test]
    fn a_name_is_looked_for_beside_this_program_and_a_path_is_taken_as_it_is() {
        let this = std::env::current_exe().expect("a program");
        let name = this.file_name().expect("a name");
        assert_eq!(found(Path::new(name)), this);
        for other in ["braid-cluster-that-is-not-built", "/bin/sh", "./sh"] {
            assert_eq!(found(Path::new(other)), Path::new(other));
        }
    }
}
