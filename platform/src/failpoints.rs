//! Named places where a test can make a process fail, pause or exit.
//!
//! A layer calls [`pass`] with the place's name, `stage::moment`; without the cargo feature `failpoints` that does nothing.
//! With it, the environment variable `FAILPOINTS` (`speed::after_apply=50%return(300)`) chooses what happens there.

pub use fail::FailScenario;

/// Reads `FAILPOINTS` once at the start of a process and keeps the fail points armed until the value is dropped.
///
/// Does nothing where the feature `failpoints` is off. A malformed `FAILPOINTS` panics: it exists in tests only.
pub fn setup() -> FailScenario<'static> {
    FailScenario::setup()
}

/// Whether this build contains fail points, so that no shipped process runs with them unnoticed.
pub const fn compiled_in() -> bool {
    fail::has_failpoints()
}

/// Passes a named place. Where `FAILPOINTS` says `name=50%return(300)`, half of the passages print `failpoint name` to
/// standard error and stop this thread for 300 ms: long enough for a test to kill the process right there.
pub fn pass(name: &str) {
    #[cfg(feature = "failpoints")]
    if let Some(Some(pause_ms)) = fail::eval(name, |argument| argument) {
        eprintln!("failpoint {name}");
        std::thread::sleep(std::time::Duration::from_millis(pause_ms.parse().unwrap_or(0)));
    }
    #[cfg(not(feature = "failpoints"))]
    let _ = name;
}
