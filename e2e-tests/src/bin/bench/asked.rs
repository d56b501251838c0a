//! `totals_per_second`: how many totals 32 clients get while 5,000 events/s flow, beside a handler that does nothing but send the
//! same body; and how long a total takes at 70 % of that.
//!
//! - `client`: the clients' connections;
//! - `bare`: the handler that the answers stand beside.

mod bare;
mod client;

use std::time::Duration;

use anyhow::{Context, Result};
use e2e_tests::Stage;
use e2e_tests::scenario::Scenario;
use e2e_tests::views::METRIC;

use self::client::Clients;
use crate::figures::{Figures, share};
use crate::load::{Events, Flow, Keys};

/// The load, in events per second.
const RATE: u64 = 5_000;
/// How long the load runs before anything is asked.
const WARM_UP: Duration = Duration::from_secs(5);
/// How long each figure is measured.
const MEASURED: Duration = Duration::from_secs(10);
/// How many of the hottest videos are asked for in turn, where it is not only one.
const VIDEOS: usize = 1_000;
/// The part of what is possible at which it is measured how long a total takes.
const PART: f64 = 0.7;

pub(crate) async fn measure(scenario: &Scenario, figures: &mut Figures) -> Result<()> {
    let stage = Stage::of(scenario).as_users_get_it().start().await?;
    let mut events = Events::new(Keys::Zipf, 23);
    let flow = Flow::start(&stage, RATE, move || events.next())?;
    tokio::time::sleep(WARM_UP).await;

    let url = stage.client()?.url().to_owned();
    let address = url.strip_prefix("http://").context("the serving layer's URL")?;
    let total = |video: usize| format!("/v1/metrics/{METRIC}/total?video_id=v{video}");
    let hottest = Clients::of(address, &[total(1)])?;
    let body = hottest.body().await?;
    let bare = Clients::of(&bare::serve(body).await?.to_string(), &[total(1)])?;
    let bare = bare.per_second(MEASURED).await?;

    let of_one = hottest.per_second(MEASURED).await?;
    let paths: Vec<String> = (1..=VIDEOS).map(total).collect();
    let of_many = Clients::of(address, &paths)?.per_second(MEASURED).await?;
    let mut took_ms = hottest.took_ms(of_one * PART, MEASURED).await?;
    let rate = flow.stop()?.rate;
    took_ms.sort_by(f64::total_cmp);
    figures.add("totals_load", rate, "events/s");
    figures.beside("totals_per_second_of_one_key", of_one, "totals/s", bare);
    figures.beside("totals_per_second_of_many_keys", of_many, "totals/s", bare);
    figures.add("total_at_70_percent_p50_ms", share(&took_ms, 0.5), "ms");
    figures.add("total_at_70_percent_p99_ms", share(&took_ms, 0.99), "ms");
    Ok(())
}
