//! What streams take and give: windows and a detector from a full topic, beside a bare consumer; lookups in a table; how soon an alert can
//! be read at 20,000 payments/s; and how soon again after a kill, with a snapshot and without.
//!
//! - `payments`: what is sent, and the catalog;
//! - `progress`: how far lanes have published;
//! - `probes`: payments that cause an alert, and the consumer that waits for it;
//! - `windows`, `lookups`, `alerts`, `detect`: the figures.

mod alerts;
mod detect;
mod lookups;
mod payments;
mod probes;
mod progress;
mod windows;

use anyhow::Result;
use e2e_tests::Stage;
use e2e_tests::scenario::Scenario;
use test_kit::{DEADLINE, Progress, wait_for};

use crate::figures::Figures;
use crate::load::Keys;

/// The names of the parts.
pub(crate) const PARTS: [&str; 4] = ["windows", "lookups", "alerts", "detect"];

/// `wanted`: whether a part, named as its module is, is to be measured.
pub(crate) async fn measure(scenario: &Scenario, wanted: impl Fn(&str) -> bool, figures: &mut Figures) -> Result<()> {
    for keys in [Keys::Zipf, Keys::Uniform] {
        if wanted("windows") {
            windows::measure(scenario, keys, figures).await?;
        }
    }
    if wanted("lookups") {
        lookups::measure(scenario, figures).await?;
    }
    if wanted("alerts") {
        alerts::measure(scenario, figures).await?;
    }
    if wanted("detect") {
        detect::measure(scenario, figures).await?;
    }
    Ok(())
}

/// Waits until the archive says where the partitions of a source begin. Lanes need no more of it.
async fn archive_begins(stage: &Stage, source: &str) -> Result<()> {
    let begin = stage.deployment.store().join(format!("archive/{source}/_delta_log/00000000000000000001.json"));
    wait_for("the archive's begin", DEADLINE, async || Ok(Progress::when(begin.exists(), "no commit"))).await
}
