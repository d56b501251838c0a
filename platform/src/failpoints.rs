//! Named places where a test can make a process fail, pause or exit.
//!
//! A layer calls [`pass`] or [`fails`] with the place's name, `stage::moment`; without the cargo feature `failpoints` that does nothing.
//! With it, the environment variable `FAILPOINTS` (`speed::after_apply=50%return(300)`) chooses what happens there.

pub use fail::FailScenario;

/// Reads `FAILPOINTS` once at the start of a process and keeps the fail points armed until the value is dropped.
///
/// Does nothing where the feature `failpoints` is off. Panics if `FAILPOINTS` is malformed, as only tests set it.
pub fn setup() -> FailScenario<'static> {
    FailScenario::setup()
}

/// Marks a named place. With `FAILPOINTS=name=50%return(300)`, every second pass on average prints `failpoint name` to
/// standard error and stops this thread for 300 ms: long enough for a test to kill the process at this point. A task of the runtime stops
/// as a whole, whatever else it waits for, and no other task does.
pub fn pass(name: &str) {
    #[cfg(feature = "failpoints")]
    if let Some(Some(pause_ms)) = fail::eval(name, |argument| argument) {
        eprintln!("failpoint {name}");
        pause(std::time::Duration::from_millis(pause_ms.parse().unwrap_or(0)));
    }
    #[cfg(not(feature = "failpoints"))]
    let _ = name;
}

/// Stops this thread. If it is one of the runtime's, another one takes over the tasks that would have their turn on it.
#[cfg(feature = "failpoints")]
fn pause(long: std::time::Duration) {
    use tokio::runtime::{Handle, RuntimeFlavor};
    let runtime = Handle::try_current().map(|runtime| runtime.runtime_flavor());
    if matches!(runtime, Ok(RuntimeFlavor::MultiThread)) {
        tokio::task::block_in_place(|| std::thread::sleep(long));
    } else {
        std::thread::sleep(long);
    }
}

/// Whether a step at a named place is to fail although nothing is wrong. With `FAILPOINTS=name=50%return`, every second pass on average
/// does, and prints `failpoint name` to standard error.
pub fn fails(name: &str) -> bool {
    #[cfg(feature = "failpoints")]
    if fail::eval(name, drop).is_some() {
        eprintln!("failpoint {name}");
        return true;
    }
    #[cfg(not(feature = "failpoints"))]
    let _ = name;
    false
}

#[cfg(all(test, feature = "failpoints"))]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::pass;

    const PAUSED: &str = "failpoints::paused";

    #[test]
    fn a_task_that_is_paused_holds_up_no_other() -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
        fail::cfg(PAUSED, "return(60000)").expect("it is well-formed");
        let (runs, other) = channel();
        runtime.spawn(async move {
            // There is one thread: until this task makes way, the other one has no turn.
            tokio::spawn(async move { runs.send(()) });
            pass(PAUSED);
        });
        let other = other.recv_timeout(Duration::from_secs(30));
        fail::remove(PAUSED);
        runtime.shutdown_background();
        assert!(other.is_ok(), "the other task waits for the pause to end: {other:?}");
        Ok(())
    }
}
