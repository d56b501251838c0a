//! What Kafka runs on: a Java, and Kafka's jars as `deploy/kafka-jars.sh` fetches them.

use std::ffi::OsString;
use std::path::Path;

use anyhow::Result;
use tokio::process::Command;

use crate::embedded::java::{Jars, Java};

const JARS: Jars = Jars {
    name: "kafka",
    // The version that the script fetches.
    version: "4.2.1",
    variable: "BRAID_KAFKA_JARS",
    script: "deploy/kafka-jars.sh",
};

/// A Java and Kafka's jars.
#[derive(Debug, Clone)]
pub struct Runtime(Java);

impl Runtime {
    /// Finds both: the Java that `JAVA_HOME` names, else `java`; and the jars in the folder that `BRAID_KAFKA_JARS` names, else
    /// in the user's cache.
    ///
    /// # Errors
    /// What is missing here, and how to get it.
    pub async fn find() -> Result<Runtime> {
        Java::find(&JARS).await.map(Runtime)
    }

    /// A command that runs one of Kafka's classes with `folder` as its working directory, and logs as the file `log4j2` says.
    pub(super) fn command(&self, class: &str, folder: &Path, log4j2: &Path) -> Command {
        // The asterisk is Java's own wildcard: all jars of the folder.
        let mut command = self.0.command(&self.0.jars.join("*").into_os_string(), folder);
        let mut logging = OsString::from("-Dlog4j2.configurationFile=");
        logging.push(log4j2);
        command.arg(logging).arg(class);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POM: &str = include_str!("../../../kafka/pom.xml");

    #[test]
    fn the_version_is_the_one_that_is_fetched() {
        assert!(POM.contains(&format!("<kafka.version>{}</kafka.version>", JARS.version)));
    }
}
