//! A mistake in production, corrected as a person does it: what `make demo-kappa` plays with more events.

use e2e_tests::{busy_scenario, versions::kappa};

const EVENTS: usize = 5_000;

#[test]
fn version_corrects_a_mistake() {
    busy_scenario("version_corrects_a_mistake", async |scenario| kappa::play(scenario, EVENTS, |_| ()).await);
}
