//! `streams_alert_ms`: from handing the payment that completes a fraud to the producer until a consumer of committed records has the
//! alert, under load.

use std::time::{Duration, Instant};

use anyhow::Result;
use e2e_tests::scenario::{Scenario, now_us};
use e2e_tests::{Layer, Stage};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::payments::{catalog, payment};
use super::probes::Probes;
use crate::figures::{Figures, share};
use crate::load::Flow;

/// The load, in payments per second.
pub(super) const RATE: u64 = 20_000;
/// So many that none of them pays five times in a minute.
const USERS: u32 = 5_000_000;
const PROBES: u32 = 1_000;
/// One is sent each time that so much has passed, whether or not the alert before has come: what a stall holds up counts for each of them.
const EVERY: Duration = Duration::from_millis(20);
const WARM_UP: Duration = Duration::from_secs(5);
/// What we aim at, in milliseconds.
const AIM_MS: f64 = 1_000.0;

pub(super) async fn measure(scenario: &Scenario, figures: &mut Figures) -> Result<()> {
    let setup = Stage::of(scenario).as_users_get_it().catalog(catalog).running(&[Layer::Archive, Layer::Speed]);
    let stage = setup.start().await?;
    let flow = load(&stage)?;
    tokio::time::sleep(WARM_UP).await;
    let mut probes = Probes::new(&stage)?;
    let (began, mut sent) = (Instant::now(), Vec::new());
    for number in 0..PROBES {
        tokio::time::sleep_until((began + EVERY * number).into()).await;
        sent.push(probes.send(None)?);
    }
    let mut waits_ms = Vec::with_capacity(sent.len());
    for (user, at) in sent {
        waits_ms.push(probes.alert(&user)?.duration_since(at).as_secs_f64() * 1e3);
    }
    let rate = flow.stop()?.rate;
    waits_ms.sort_by(f64::total_cmp);
    figures.add("streams_alert_load", rate, "events/s");
    figures.add("streams_alert_ms_p50", share(&waits_ms, 0.5), "ms");
    figures.beside("streams_alert_ms_p99", share(&waits_ms, 0.99), "ms", AIM_MS);
    Ok(())
}

/// Payments of many users that flow from now on.
pub(super) fn load(stage: &Stage) -> Result<Flow> {
    let (mut rng, mut sent) = (StdRng::seed_from_u64(29), 0_u64);
    Flow::start(stage, RATE, move || {
        sent += 1;
        let user = format!("u{}", rng.random_range(0..USERS));
        payment(&format!("l{sent:x}"), &user, now_us() / 1_000, rng.random_range(0..2_000))
    })
}
