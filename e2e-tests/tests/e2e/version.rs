//! Versions: another catalog's answers beside those of the active one, until they take their place.
//!
//! - `life`: all of it under load and polling, from `create` to `retire`; `corrected`, the same as a person sees it;
//! - `killed`: a replay that is killed again and again, from the log and from the archive; `steps`, each of an operator's commands killed
//!   before and after it has changed anything;
//! - `verified`: what a verification must find, and where;
//! - `promotions`: at once, and heard of late; `store_out`, while nothing can be written or read;
//! - `streams` across a promotion and a roll-back;
//! - `refused`: replays and versions that cannot be; `without_archive`, a deployment without a batch layer.

mod corrected;
mod killed;
mod life;
mod promotions;
mod refused;
mod steps;
mod store_out;
mod streams;
mod verified;
mod without_archive;

use anyhow::Result;
use e2e_tests::stage::Setup;
use e2e_tests::versions::{Still, mistaken};
use e2e_tests::views::{Mix, Sent, Views};
use e2e_tests::{Scenario, Stage, Traffic};

/// The video about which nothing is sent once clients ask.
const STILL: &str = "video-still";
/// How often it is seen in each of two parts, and how many of these views fail.
const VIEWS: usize = 30;
const FAILED: usize = 5;

/// A stage whose first version counts views of every status, and whose processes soon hear of what is decided about versions.
fn setup(scenario: &Scenario) -> Setup<'_> {
    Stage::of(scenario).catalog(mistaken).set("versions.refresh", "200ms")
}

/// Sends views of the still video in two parts. Of the first, the view of the first version holds everything; the second is in its speed view
/// alone. Returns what was sent.
async fn sends_still(stage: &Stage, views: Views) -> Result<(Vec<Sent>, Views, Still)> {
    let mut traffic = Traffic::new(stage.producer()?, views);
    let mut all = Vec::new();
    for is_in_view in [true, false] {
        let part: Vec<_> = (0..VIEWS)
            .map(|n| if n < FAILED { traffic.views.failed_about(STILL) } else { traffic.views.about(STILL) })
            .collect();
        let arrived = traffic.send_these(&part)?;
        all.extend(part);
        stage.total_as_of(arrived).await?;
        if is_in_view {
            stage.archived().await?;
            stage.deployment.reconcile().await?;
        }
    }
    let still = Still::of(STILL, &all);
    Ok((all, traffic.views, still))
}

/// Views of a few videos, with copies, late ones and broken ones among them.
fn views(stage: &Stage) -> Views {
    stage.views(20, Mix::USUAL)
}
