//! Prepares the folder in which Kafka keeps its log.

use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::timeout;

use super::folder::Folder;
use super::runtime::Runtime;
use crate::embedded::child::Server;
use crate::embedded::port::free_port;

const WITHIN: Duration = Duration::from_secs(60);

/// Formats the folder of Kafka's log, unless that was done already. It gets its name once it is whole, so a process that is
/// killed meanwhile leaves nothing that would pass for it.
pub(super) async fn format(folder: &Folder, runtime: &Runtime, lock: &File) -> Result<()> {
    let (log, fresh) = (folder.log(), folder.being_formatted());
    if log.exists() {
        return Ok(());
    }
    if fresh.exists() {
        fs::remove_dir_all(&fresh).with_context(|| format!("cannot remove {}", fresh.display()))?;
    }
    let mut command = folder.command(runtime, "kafka.tools.StorageTool", &fresh, free_port()?, free_port()?)?;
    command.args(["format", "--standalone", "-t", &new_cluster_id(), "-c"]).arg(folder.properties());
    let mut tool = Server::start("kafka-format", command, lock.try_clone()?).await.context("cannot run java")?;
    let ended = timeout(WITHIN, tool.ended()).await;
    let status = ended.with_context(|| format!("kafka's folder was not formatted within {} s", WITHIN.as_secs()))??;
    ensure!(status.success(), "kafka's folder was not formatted ({status}); {}", folder.end_of_output());
    fs::rename(&fresh, &log).with_context(|| format!("cannot rename {} to {}", fresh.display(), log.display()))
}

/// A new cluster's id, by which the brokers of two folders can be told apart: 16 bytes as 22 letters of URL-safe base64, the
/// last of which holds two bits only.
fn new_cluster_id() -> String {
    format!("braid{:016x}A", RandomState::new().build_hasher().finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cluster_has_an_id_of_its_own() {
        let (one, other) = (new_cluster_id(), new_cluster_id());
        assert_ne!(one, other);
        assert!(one.len() == 22 && one.chars().all(|letter| letter.is_ascii_alphanumeric()), "{one}");
    }
}
