//! Child processes: their output kept, signals sent on purpose, and none left behind.
//!
//! Every child leads a process group, which is killed when the [`Process`] is dropped. If the test process itself is killed,
//! the kernel kills the children. Linux ties that to the *thread* that started the child, and a test's thread ends with the
//! test. So one thread, which lasts as long as the process, starts them all.

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

use crate::wait::{Progress, wait_for};

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
    /// Where this child's output starts in the log, which all children of one name share.
    log_start: u64,
}

impl Process {
    /// Starts `command`, appending what it prints to `log`.
    pub fn start(name: &str, command: Command, log: &Path) -> Result<Process> {
        let mut file = OpenOptions::new().create(true).append(true).open(log).with_context(|| format!("{log:?}"))?;
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
        writeln!(file, "---- {name}: {} {}", command.get_program().display(), arguments.join(" "))?;
        let log_start = file.metadata()?.len();
        let mut command = dying_with_parent(command);
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).process_group(0);
        let program = command.get_program().to_owned();
        let child = spawn(command).with_context(|| format!("cannot start {name} by {}", program.display()))?;
        let group = Pid::from_child(&child);
        let inner = Inner { name: name.to_owned(), group, child: Mutex::new(child), log: log.to_owned(), log_start };
        Ok(Process { inner: Arc::new(inner) })
    }

    /// The child's process id.
    pub fn id(&self) -> u32 {
        self.inner.child.lock().unwrap_or_else(PoisonError::into_inner).id()
    }

    /// Waits until the child has printed a line that begins with `begin`, and returns the line.
    pub async fn line(&self, begin: &str, deadline: Duration) -> Result<String> {
        self.line_where(begin, deadline, |line| line.starts_with(begin)).await
    }

    /// Waits until the child has printed a line that contains `part`, and returns the line.
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
                (Some(line), _) => Ok(Progress::Done(line.to_owned())),
                (None, Some(status)) => bail!("{} ended ({status}) before it printed {what:?}", self.inner.name),
                (None, None) => {
                    Ok(Progress::NotYet(format!("{} lines of other output", complete_lines.lines().count())))
                }
            }
        })
        .await
    }

    /// Whether the child has ended, and how.
    pub fn ended(&self) -> Result<Option<ExitStatus>> {
        Ok(self.child().try_wait()?)
    }

    /// Waits until the child has ended by itself with success.
    pub async fn success(&self, deadline: Duration) -> Result<()> {
        let status = self.end(deadline).await?;
        ensure!(status.success(), "{} ended with {status}", self.inner.name);
        Ok(())
    }

    /// Waits until the child has ended by itself.
    pub async fn end(&self, deadline: Duration) -> Result<ExitStatus> {
        wait_for(&format!("{} to end", self.inner.name), deadline, async || match self.ended()? {
            Some(status) => Ok(Progress::Done(status)),
            None => Ok(Progress::NotYet("it runs".to_owned())),
        })
        .await
    }

    /// `kill -9` for the whole process group; returns when the child is gone.
    pub fn kill(&self) {
        self.inner.kill();
    }

    /// Asks the child to stop (SIGTERM).
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Freezes the child (SIGSTOP).
    pub fn suspend(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Thaws the child (SIGCONT).
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Everything that this child has printed so far.
    pub fn output(&self) -> Result<String> {
        let mut file = File::open(&self.inner.log)?;
        file.seek(SeekFrom::Start(self.inner.log_start))?;
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

struct Start {
    command: Command,
    started: Sender<std::io::Result<Child>>,
}

static LASTING_THREAD: LazyLock<Sender<Start>> = LazyLock::new(|| {
    let (sender, starts) = channel::<Start>();
    std::thread::spawn(move || {
        for Start { mut command, started } in starts {
            // An error means that the test was cut off and waits no longer. Its child dies with this process.
            let _ = started.send(command.spawn());
        }
    });
    sender
});

/// The same command, in a process that is killed once the thread that starts it has ended. A program of the system sees to that: what is done
/// between fork and exec makes the standard library fork, which copies the page tables of a process of gigabytes, while it starts
/// others without that.
fn dying_with_parent(command: Command) -> Command {
    if !cfg!(target_os = "linux") {
        return command;
    }
    let mut dying = Command::new("setpriv");
    dying.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => dying.env(name, value),
            None => dying.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        dying.current_dir(folder);
    }
    dying
}

fn spawn(command: Command) -> Result<Child> {
    let (started, answer) = channel();
    LASTING_THREAD.send(Start { command, started }).ok().context("the thread that starts children is gone")?;
    Ok(answer.recv().context("the thread that starts children is gone")??)
}
