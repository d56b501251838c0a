//! What the servers that run on Java have in common: a Java, and a folder of jars that a script has fetched.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use tokio::process::Command;
use tokio::time::timeout;

const JAVA_MIN: u32 = 17;
/// How long Java may take to say its version.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Half a gigabyte is enough for a few producers, and the rest of the memory is better used by the page cache. The simplest
/// collector and compiler start fastest.
const JAVA_OPTIONS: [&str; 4] =
    ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError"];

/// The jars of a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Jars {
    /// The server's name, as errors say it and as the folder is called.
    pub(super) name: &'static str,
    /// Its version.
    pub(super) version: &'static str,
    /// The variable that names another folder.
    pub(super) variable: &'static str,
    /// What fetches them.
    pub(super) script: &'static str,
}

/// A Java and the jars of a server.
#[derive(Debug, Clone)]
pub(super) struct Java {
    java: PathBuf,
    /// The folder of the jars, an absolute path.
    pub(super) jars: PathBuf,
}

impl Java {
    /// Finds both: the Java that `JAVA_HOME` names, else `java`; and the jars in the folder that the variable names, else in the user's
    /// cache.
    ///
    /// # Errors
    /// What is missing here, and how to get it.
    pub(super) async fn find(wanted: &Jars) -> Result<Java> {
        let Jars { name, variable, script, .. } = wanted;
        let Places { java, jars } = Places::of(wanted, std::env::var_os)?;
        ensure!(
            jars.is_dir(),
            "there is no folder {} with {name}'s jars: fetch them with {script}, or name another in {variable}",
            jars.display()
        );
        let version = java_version(&java).await?;
        ensure!(version >= JAVA_MIN, "{} is Java {version}, and {name} needs {JAVA_MIN} or newer", java.display());
        Ok(Java { java, jars: std::path::absolute(jars)? })
    }

    /// A command that runs a class of this class path with `folder` as its working directory. The class is to be added, and what it is told.
    pub(super) fn command(&self, class_path: &OsString, folder: &Path) -> Command {
        let mut command = Command::new(&self.java);
        command.arg("-cp").arg(class_path).args(JAVA_OPTIONS).current_dir(folder);
        command
    }
}

/// Where to look.
#[derive(Debug, PartialEq, Eq)]
struct Places {
    java: PathBuf,
    jars: PathBuf,
}

impl Places {
    /// Decided by environment variables.
    fn of(wanted: &Jars, variable: impl Fn(&'static str) -> Option<OsString>) -> Result<Places> {
        let path = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let java = path("JAVA_HOME").map_or_else(|| PathBuf::from("java"), |home| home.join("bin/java"));
        let cache = || path("XDG_CACHE_HOME").or_else(|| Some(path("HOME")?.join(".cache")));
        let Jars { name, version, .. } = wanted;
        // The same folder as in deploy/maven-jars.sh.
        let jars = path(wanted.variable).or_else(|| Some(cache()?.join("braid").join(format!("{name}-{version}"))));
        let jars =
            jars.with_context(|| format!("neither {} nor HOME says where {name}'s jars are", wanted.variable))?;
        Ok(Places { java, jars })
    }
}

/// The major version of a Java.
async fn java_version(java: &Path) -> Result<u32> {
    let mut command = Command::new(java);
    command.arg("-version").stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(ANSWER_WITHIN, command.output())
        .await
        .with_context(|| format!("{} did not say its version within {} s", java.display(), ANSWER_WITHIN.as_secs()))?;
    let output = output.map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow!(
            "{} is not installed: install Java {JAVA_MIN} or newer (Debian and Ubuntu: `apt install openjdk-17-jre-headless`; \
             macOS: `brew install openjdk@17`)",
            java.display()
        ),
        _ => anyhow!(error).context(format!("cannot run {}", java.display())),
    })?;
    let printed = String::from_utf8_lossy(&output.stderr);
    match major_version(&printed) {
        Some(version) => Ok(version),
        None => bail!("{} did not say its version but {printed:?}", java.display()),
    }
}

/// 17 for `openjdk version "17.0.21" 2026-11-17`; 1 for versions before 9, such as `java version "1.8.0_392"`.
fn major_version(printed: &str) -> Option<u32> {
    let (_, version) = printed.split_once("version \"")?;
    version.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const JARS: Jars = Jars { name: "server", version: "1.2", variable: "SERVER_JARS", script: "fetch.sh" };

    #[test]
    fn variables_decide_where_java_and_the_jars_are() {
        let places = |set: &[(&str, &str)]| {
            let set: Vec<(String, OsString)> =
                set.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            Places::of(&JARS, |name| set.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()))
        };
        let found = |java: &str, jars: &str| Places { java: java.into(), jars: jars.into() };
        let cached = "/home/me/.cache/braid/server-1.2";
        assert_eq!(places(&[("HOME", "/home/me")]).expect("places"), found("java", cached));
        let set = [("HOME", "/home/me"), ("XDG_CACHE_HOME", "/cache"), ("JAVA_HOME", "/jdk")];
        assert_eq!(places(&set).expect("places"), found("/jdk/bin/java", "/cache/braid/server-1.2"));
        assert_eq!(places(&[("SERVER_JARS", "/libs"), ("JAVA_HOME", "")]).expect("places"), found("java", "/libs"));
        assert!(places(&[]).is_err());
    }

    #[test]
    fn versions_of_java_are_read() {
        assert_eq!(major_version("openjdk version \"17.0.21.1\" 2026-11-17\nOpenJDK Runtime"), Some(17));
        assert_eq!(major_version("Picked up JAVA_TOOL_OPTIONS: -Dx=\"y\"\nopenjdk version \"21\""), Some(21));
        assert_eq!(major_version("java version \"1.8.0_392\""), Some(1));
        assert_eq!(major_version("openjdk version \"26-ea\" 2026-03-17"), Some(26));
        assert_eq!(major_version("sh: java: not found"), None);
    }

    #[tokio::test]
    async fn a_java_that_is_not_there_is_named() {
        let error = java_version(Path::new("/nowhere/bin/java")).await.expect_err("there is none").to_string();
        assert!(error.starts_with("/nowhere/bin/java is not installed"), "{error}");
    }
}
