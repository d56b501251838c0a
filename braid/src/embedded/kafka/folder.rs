//! Kafka's part of the data folder:
//!
//! - `log/`: what Kafka keeps. It is there once it is formatted whole;
//! - `port`: where Kafka listened last, so that producers find it there again;
//! - `kafka.log` and `kafka.log.1`: what Kafka printed since its last start, and since the start before;
//! - `server.properties` and `log4j2.yaml`: written before each start;
//! - `lock`: held by the process that uses the folder, and by its Kafka.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use super::runtime::Runtime;
use crate::embedded::child::tail;

const PROPERTIES: &str = include_str!("../../../kafka/server.properties");
const LOG4J2: &str = include_str!("../../../kafka/log4j2.yaml");

/// Kafka's part of a data folder.
#[derive(Debug, Clone)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// The folder at that path.
    pub(super) fn at(path: &Path) -> Result<Folder> {
        Ok(Folder(std::path::absolute(path).with_context(|| format!("cannot use {}", path.display()))?))
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Where Kafka keeps its log.
    pub(super) fn log(&self) -> PathBuf {
        log_in(&self.0)
    }

    /// Where that is formatted.
    pub(super) fn being_formatted(&self) -> PathBuf {
        self.0.join("being-formatted")
    }

    /// The port where Kafka listened last.
    pub(super) fn last_port(&self) -> Option<u16> {
        fs::read_to_string(self.port_file()).ok()?.trim().parse().ok()
    }

    /// Notes where Kafka listens.
    pub(super) fn note_port(&self, port: u16) -> Result<()> {
        write(&self.port_file(), &format!("{port}\n"))
    }

    /// The id of the cluster that the log was formatted for.
    pub(super) fn cluster_id(&self) -> Result<String> {
        let path = self.log().join("meta.properties");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let id = text.lines().find_map(|line| line.strip_prefix("cluster.id="));
        Ok(id.with_context(|| format!("{} names no cluster.id", path.display()))?.trim().to_owned())
    }

    /// A command that runs one of Kafka's classes and prints into `kafka.log`. It also writes the configuration, by which the
    /// log is kept in `log`; its path is to be added to the command.
    pub(super) fn command(
        &self,
        runtime: &Runtime,
        class: &str,
        log: &Path,
        port: u16,
        controller_port: u16,
    ) -> Result<Command> {
        let properties = PROPERTIES
            .replace("@PORT@", &port.to_string())
            .replace("@CONTROLLER_PORT@", &controller_port.to_string())
            .replace("@DATA@", &escaped(log)?);
        write(&self.properties(), &properties)?;
        let log4j2 = self.0.join("log4j2.yaml");
        write(&log4j2, LOG4J2)?;
        let output = self.new_output()?;
        let mut command = runtime.command(class, &self.0, &log4j2);
        command.stdout(output.try_clone()?).stderr(output);
        Ok(command)
    }

    /// The configuration's path.
    pub(super) fn properties(&self) -> PathBuf {
        self.0.join("server.properties")
    }

    /// Everything that Kafka printed since its last start.
    pub(super) fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.output_file()).unwrap_or_default()).into_owned()
    }

    /// The end of it, for an error.
    pub(super) fn end_of_output(&self) -> String {
        let file = self.output_file();
        format!("its log, {}:\n{}", file.display(), tail(&file))
    }

    fn new_output(&self) -> Result<File> {
        let file = self.output_file();
        // An error means that there is none to keep.
        let _ = fs::rename(&file, self.0.join("kafka.log.1"));
        File::create(&file).with_context(|| format!("cannot create {}", file.display()))
    }

    fn output_file(&self) -> PathBuf {
        self.0.join("kafka.log")
    }

    fn port_file(&self) -> PathBuf {
        self.0.join("port")
    }
}

/// Where Kafka keeps its log in a folder.
pub(super) fn log_in(folder: &Path) -> PathBuf {
    folder.join("log")
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// A path as a value of Java's properties, in which a backslash escapes and other letters than those of ASCII are numbers.
fn escaped(path: &Path) -> Result<String> {
    let text = match path.to_str() {
        Some(text) if !text.contains(',') => text,
        _ => bail!(
            "kafka cannot use {}, because its path has a comma or is not UTF-8: name another folder with --data",
            path.display()
        ),
    };
    let mut escaped = String::new();
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(b'\\') => escaped.push_str("\\\\"),
            Ok(letter) if letter.is_ascii_graphic() || letter == b' ' => escaped.push(char::from(letter)),
            _ => escaped.push_str(&format!("\\u{unit:04x}")),
        }
    }
    Ok(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_as_java_reads_them() {
        assert_eq!(escaped(Path::new("/srv/my data/a=b")).expect("usable"), "/srv/my data/a=b");
        assert_eq!(escaped(Path::new("/a\\b/dä\u{1f600}")).expect("usable"), "/a\\\\b/d\\u00e4\\ud83d\\ude00");
        assert!(escaped(Path::new("/a,b")).is_err());
    }

    #[test]
    fn the_last_port_and_the_cluster_are_remembered() {
        let data = tempfile::tempdir().expect("a folder");
        let folder = Folder::at(data.path()).expect("a path");
        assert_eq!(folder.last_port(), None);
        folder.note_port(19_123).expect("written");
        assert_eq!(Folder::at(data.path()).expect("a path").last_port(), Some(19_123));
        assert!(folder.cluster_id().is_err());
        fs::create_dir(folder.log()).expect("a folder");
        let meta = "#\n#Thu Nov 26 07:25:02 UTC 2026\nnode.id=1\nversion=1\ncluster.id=braid0123456789abcdefA\n";
        fs::write(folder.log().join("meta.properties"), meta).expect("written");
        assert_eq!(folder.cluster_id().expect("an id"), "braid0123456789abcdefA");
    }

    #[test]
    fn what_kafka_printed_before_its_last_start_is_kept() {
        let data = tempfile::tempdir().expect("a folder");
        let folder = Folder::at(data.path()).expect("a path");
        for text in ["first", "second"] {
            std::io::Write::write_all(&mut folder.new_output().expect("a file"), text.as_bytes()).expect("written");
        }
        assert_eq!(folder.output(), "second");
        assert_eq!(fs::read_to_string(data.path().join("kafka.log.1")).expect("kept"), "first");
    }
}
