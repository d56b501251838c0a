//! An OpenSearch of a test's own. `deploy/search-jars.sh` fetches it, once per user.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::child_server::ChildServer;
use crate::fetched::{self, notice, refuse_in_ci};

/// It starts in 3 s on a machine that has nothing else to do.
const START_WITHIN: Duration = Duration::from_secs(120);
const STOP_WITHIN: Duration = Duration::from_secs(60);
/// As `braid up` runs it; see braid/src/embedded/search.rs.
const JAVA_OPTIONS: [&str; 4] =
    ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError"];

/// An OpenSearch that keeps its folder and port over restarts, and what it has acknowledged when it is killed. Dropping it kills it. What a
/// test does to its process is in [`ChildServer`].
pub struct Search {
    server: ChildServer,
    class_path: &'static str,
    settings: Vec<String>,
}

impl Search {
    /// Starts an empty server in a temporary folder; nothing where none can be had. Then the test, which has no meaning without one, is
    /// named in a notice, and with `CI=true` that is an error.
    pub async fn start(test: &str) -> Result<Option<Search>> {
        Search::start_with(test, &[]).await
    }

    /// The same with settings of the server, such as `http.max_content_length=20kb`.
    pub async fn start_with(test: &str, settings: &[&str]) -> Result<Option<Search>> {
        Search::launch(test, settings, None).await
    }

    /// The same with its data and output in `folder`.
    pub async fn start_in(test: &str, folder: &Path, settings: &[&str]) -> Result<Option<Search>> {
        Search::launch(test, settings, Some(folder)).await
    }

    async fn launch(test: &str, settings: &[&str], folder: Option<&Path>) -> Result<Option<Search>> {
        let class_path = match class_path() {
            Ok(class_path) => class_path,
            Err(why) => {
                refuse_in_ci("search server", &why)?;
                notice(&format!("{test} needs the real OpenSearch and DID NOT RUN: {why}"));
                return Ok(None);
            }
        };
        let server = ChildServer::new("search", folder, STOP_WITHIN)?;
        std::fs::create_dir_all(server.folder().join("config"))?;
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let mut search = Search { server, class_path, settings };
        search.restart().await?;
        Ok(Some(search))
    }

    /// `http://…`
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.server.port())
    }

    /// Starts again on what its folder holds; kills it first if it still runs. For a moment it may answer that it is not recovered yet.
    pub async fn restart(&mut self) -> Result<()> {
        let mut command = Command::new("java");
        command.args(JAVA_OPTIONS).args(["-cp", self.class_path, "Search", &self.server.port().to_string()]);
        command.arg(self.server.folder()).args(&self.settings).current_dir(self.server.folder());
        let process = self.server.launch(command)?;
        let ready = process.line("ready", START_WITHIN).await;
        ready.map(drop).with_context(|| format!("it printed {}", process.output().unwrap_or_default()))
    }

    /// Starts again without anything that it has held.
    pub async fn lose_all(&mut self) -> Result<()> {
        self.kill();
        std::fs::remove_dir_all(self.server.folder().join("data"))?;
        self.restart().await
    }
}

impl Deref for Search {
    type Target = ChildServer;

    fn deref(&self) -> &ChildServer {
        &self.server
    }
}

impl DerefMut for Search {
    fn deref_mut(&mut self) -> &mut ChildServer {
        &mut self.server
    }
}

/// The class path, or why it could not be fetched. Asked once per test binary.
fn class_path() -> Result<&'static str, String> {
    static CLASS_PATH: OnceLock<Result<String, String>> = OnceLock::new();
    let class_path = CLASS_PATH.get_or_init(|| {
        let jars = fetched::by("deploy/search-jars.sh")?;
        // The asterisk is Java's own wildcard: all jars of the folder.
        Ok(format!("{0}/classes:{0}/*", jars.display()))
    });
    class_path.as_ref().map(String::as_str).map_err(Clone::clone)
}
