//! Child processes: their output kept, signals sent on purpose, and none left behind.
//!
//! Every child leads a process group, which is killed when the [`Process`] is dropped. Should the tests themselves be
//! killed, the kernel kills the children. Linux ties that to the *thread* that started the child, and a test's thread
//! ends with the test; so one thread that lasts as long as the process starts them all.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::wait::{Look, wait_for};

/// A running child. Clones are the same child; the last one dropped kills it.
#[derive(Clone)]
pub struct Process {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    group: Pid,
    child: Mutex<Child>,
    log: PathBuf,
    /// Where this child's output begins in the log, which all starts under one name share.
    log_begin: u64,
}

impl Process {
    /// Starts `command`, appending what it prints to `log`.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Process> {
        let mut file = OpenOptions::new().create(true).append(true).open(log).with_context(|| format!("{log:?}"))?;
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
        writeln!(file, "---- {name}: {} {}", command.get_program().display(), arguments.join(" "))?;
        let log_begin = file.metadata()?.len();
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).process_group(0);
        let child = spawn(command).with_context(|| format!("cannot start {name}"))?;
        let group = Pid::from_child(&child);
        let inner = Inner { name: name.to_owned(), group, child: Mutex::new(child), log: log.to_owned(), log_begin };
        Ok(Process { inner: Arc::new(inner) })
    }

    /// The child's process id.
    pub fn id(&self) -> u32 {
        self.inner.child.lock().unwrap_or_else(PoisonError::into_inner).id()
    }

    /// Waits until the child has printed a line that begins with `begin`, and returns the line.
    ///
    /// # Errors
    /// If the child ends first, or at the deadline.
    pub async fn line(&self, begin: &str, deadline: Duration) -> Result<String> {
        self.line_where(begin, deadline, |line| line.starts_with(begin)).await
    }

    /// Waits until the child has printed a line that contains `part`, and returns the line.
    ///
    /// # Errors
    /// If the child ends first, or at the deadline.
    pub async fn line_with(&self, part: &str, deadline: Duration) -> Result<String> {
        self.line_where(part, deadline, |line| line.contains(part)).await
    }

    async fn line_where(&self, what: &str, deadline: Duration, fits: impl Fn(&str) -> bool) -> Result<String> {
        wait_for(&format!("{} to print {what:?}", self.inner.name), deadline, async || {
            // In this order: a child that printed the line and ended has still printed it.
            let ended = self.ended()?;
            let output = self.output()?;
            let complete_lines = output.rsplit_once('\n').map_or("", |(lines, _)| lines);
            match (complete_lines.lines().find(|line| fits(line)), ended) {
                (Some(line), _) => Ok(Look::Done(line.to_owned())),
                (None, Some(status)) => bail!("{} ended ({status}) before it printed {what:?}", self.inner.name),
                (None, None) => Ok(Look::NotYet(format!("{} lines of other output", complete_lines.lines().count()))),
            }
        })
        .await
    }

    /// Whether the child has ended, and how.
    ///
    /// # Errors
    /// If the system cannot tell.
    pub fn ended(&self) -> Result<Option<ExitStatus>> {
        Ok(self.child().try_wait()?)
    }

    /// Waits until the child has ended by itself with success.
    ///
    /// # Errors
    /// If it fails, or at the deadline.
    pub async fn success(&self, deadline: Duration) -> Result<()> {
        let status = self.end(deadline).await?;
        ensure!(status.success(), "{} ended with {status}", self.inner.name);
        Ok(())
    }

    /// Waits until the child has ended by itself.
    ///
    /// # Errors
    /// At the deadline.
    pub async fn end(&self, deadline: Duration) -> Result<ExitStatus> {
        wait_for(&format!("{} to end", self.inner.name), deadline, async || match self.ended()? {
            Some(status) => Ok(Look::Done(status)),
            None => Ok(Look::NotYet("it runs".to_owned())),
        })
        .await
    }

    /// `kill -9` for the whole process group; returns when the child is gone.
    pub fn kill(&self) {
        self.inner.kill();
    }

    /// Asks the child to stop (SIGTERM).
    ///
    /// # Errors
    /// If it has already ended.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Freezes the child (SIGSTOP).
    ///
    /// # Errors
    /// If it has already ended.
    pub fn suspend(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Thaws the child (SIGCONT).
    ///
    /// # Errors
    /// If it has already ended.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Everything that this child has printed so far.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn output(&self) -> Result<String> {
        let mut file = File::open(&self.inner.log)?;
        file.seek(SeekFrom::Start(self.inner.log_begin))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        kill_process_group(self.inner.group, signal).with_context(|| format!("cannot signal {}", self.inner.name))
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.inner.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn kill(&self) {
        // An error means that the group has ended, which is what is wanted.
        let _ = kill_process_group(self.group, Signal::KILL);
        let _ = self.child.lock().unwrap_or_else(PoisonError::into_inner).wait();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One of the project's binaries, built beside the running test.
///
/// # Errors
/// If it has not been built.
pub fn binary(name: &str) -> Result<PathBuf> {
    let path = profile_dir()?.join(name);
    ensure!(path.exists(), "{path:?} is not built: run `cargo build --workspace` (or `make test`) first");
    Ok(path)
}

/// The target folder of the build that the running test belongs to.
///
/// # Errors
/// If the test does not run from a Cargo target folder.
pub fn target_dir() -> Result<PathBuf> {
    Ok(profile_dir()?.parent().context("a profile folder has a parent")?.to_owned())
}

/// `target/debug` of `target/debug/deps/e2e-…` or of `target/debug/bench`.
fn profile_dir() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program.parent().with_context(|| format!("{program:?} is in no target folder"))?;
    let deps = folder.file_name().is_some_and(|name| name == "deps");
    Ok(if deps { folder.parent().unwrap_or(folder) } else { folder }.to_owned())
}

struct Start {
    command: Command,
    started: Sender<std::io::Result<Child>>,
}

static LASTING_THREAD: LazyLock<Sender<Start>> = LazyLock::new(|| {
    let (sender, starts) = channel::<Start>();
    std::thread::spawn(move || {
        for Start { mut command, started } in starts {
            // Nobody waits for the answer only if a test was cut off; then the child is dropped unstarted or dies with us.
            let _ = started.send(command.spawn());
        }
    });
    sender
});

fn spawn(mut command: Command) -> Result<Child> {
    #[cfg(target_os = "linux")]
    {
        let die_with_parent = || {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            Ok(())
        };
        // SAFETY: between fork and exec only async-signal-safe calls are allowed; this is one system call.
        unsafe { command.pre_exec(die_with_parent) };
    }
    let (started, answer) = channel();
    LASTING_THREAD.send(Start { command, started }).ok().context("the thread that starts children is gone")?;
    Ok(answer.recv().context("the thread that starts children is gone")??)
}
