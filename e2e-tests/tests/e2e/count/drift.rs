//! Speed counts copies beyond its window, and the reconcile that corrects this says how many there were.

use e2e_tests::{drift, scenario};

/// So that speed says 10,423 for 10,387.
const EVENTS: usize = 10_387;
const COPIES: usize = 36;

#[test]
fn drift_is_measured() {
    scenario("drift_is_measured", async |scenario| drift::play(scenario, EVENTS, COPIES, |_| ()).await);
}
