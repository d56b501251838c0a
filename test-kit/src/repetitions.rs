//! How often a test repeats what it does.

/// Set by `make test-long`.
const LONG: &str = "BRAID_LONG";

/// `usual` in `make test`, and `long` in `make test-long`, which has more time. Both must be enough for the test's claim; more
/// repetitions find rarer mistakes.
pub fn repetitions<T>(usual: T, long: T) -> T {
    if std::env::var_os(LONG).is_some() { long } else { usual }
}
