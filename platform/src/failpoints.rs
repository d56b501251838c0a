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
/// standard error and stops this thread for 300 ms: long enough for a test to kill the process at this point.
pub fn pass(name: &str) {
    #[cfg(feature = "failpoints")]
    if let Some(Some(pause_ms)) = fail::eval(name, |argument| argument) {
        eprintln!("failpoint {name}");
        std::thread::sleep(std::time::Duration::from_millis(pause_ms.parse().unwrap_or(0)));
    }
    #[cfg(not(feature = "failpoints"))]
    let _ = name;
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
