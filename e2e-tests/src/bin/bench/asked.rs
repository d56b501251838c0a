//! `totals_per_second`: how many totals 32 clients get while 5,000 events/s flow, beside a handler that does nothing but send the
//! same body; and how long a total takes at 70 % of that.
//!
//! - `reads`: the same of series, of the largest keys, and of lists of keys;
//! - `client`: the clients' connections;
//! - `bare`: the handler that the answers stand beside.

mod bare;
pub(crate) mod client;
pub(crate) mod reads;

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
/// How many clients ask for what takes little to answer.
const CLIENTS: usize = 32;
/// How long each figure is measured.
const MEASURED: Duration = Duration::from_secs(10);
/// How many of the hottest videos are asked for in turn, where it is not only one.
const VIDEOS: usize = 1_000;
/// The part of what is possible at which it is measured how long an answer takes.
const PART: f64 = 0.7;

pub(crate) async fn measure(scenario: &Scenario, figures: &mut Figures) -> Result<()> {
    let stage = Stage::of(scenario).as_users_get_it().start().await?;
    let mut events = Events::new(Keys::Zipf, 23);
    let flow = Flow::start(&stage, RATE, move || events.next())?;
    tokio::time::sleep(WARM_UP).await;

    let address = address(&stage)?;
    let total = |video: usize| format!("/v1/metrics/{METRIC}/total?video_id=v{video}");
    let hottest = Clients::of(&address, CLIENTS, &[total(1)])?;
    let bare = bare_per_second(&hottest, hottest.body().await?).await?;

    let of_one = hottest.per_second(MEASURED).await?;
    let paths: Vec<String> = (1..=VIDEOS).map(total).collect();
    let of_many = Clients::of(&address, CLIENTS, &paths)?.per_second(MEASURED).await?;
    figures.beside("totals_per_second_of_one_key", of_one, "totals/s", bare);
    figures.beside("totals_per_second_of_many_keys", of_many, "totals/s", bare);
    add_times("total", &hottest, of_one, figures).await?;
    figures.add("totals_load", flow.stop()?.rate, "events/s");
    Ok(())
}

/// Where the serving layer of that stage listens.
fn address(stage: &Stage) -> Result<String> {
    let client = stage.client()?;
    Ok(client.url().strip_prefix("http://").context("the serving layer's URL")?.to_owned())
}

/// How many answers these clients get in a second from a handler that does nothing but send that body.
async fn bare_per_second(clients: &Clients, body: Vec<u8>) -> Result<f64> {
    clients.of_other(bare::serve(body).await?).per_second(MEASURED).await
}

/// Adds how long the answers of that name take at [`PART`] of what these clients get in a second.
async fn add_times(name: &str, clients: &Clients, per_second: f64, figures: &mut Figures) -> Result<()> {
    let mut took_ms = clients.took_ms(per_second * PART, MEASURED).await?;
    took_ms.sort_by(f64::total_cmp);
    figures.add(format!("{name}_at_70_percent_p50_ms"), share(&took_ms, 0.5), "ms");
    figures.add(format!("{name}_at_70_percent_p99_ms"), share(&took_ms, 0.99), "ms");
    Ok(())
}
