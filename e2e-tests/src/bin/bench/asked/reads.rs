//! `series_…`, `top_…`, `keys_…`: how many answers clients get in a second while 5,000 events/s flow, beside a handler that does nothing but
//! send the same body; and how long an answer takes at 70 % of that.
//!
//! 10,000 videos are in both views: in the batch view those of 60 days, half of them of the last hour, and in the speed view what flows.
//! A series that many ask for is gathered once for each look. The largest keys, and lists of keys, are gathered for every answer.

use anyhow::{Context, Result, ensure};
use e2e_tests::Stage;
use e2e_tests::scenario::Scenario;
use e2e_tests::views::{METRIC, video};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use super::client::Clients;
use super::{CLIENTS, MEASURED, RATE, WARM_UP, add_times, address, bare_per_second};
use crate::figures::Figures;
use crate::load::{Events, Flow, Keys};

const VIDEOS: u32 = 10_000;
const HOUR_MS: i64 = 3_600_000;
const SIXTY_DAYS_MS: i64 = 60 * 24 * HOUR_MS;
/// Counted before anything is asked.
const BEFORE: usize = 600_000;
/// How many clients ask for what takes much to answer.
const FEW_CLIENTS: usize = 8;

/// What is asked for.
struct Read {
    /// What its figures are called after.
    name: &'static str,
    clients: usize,
    /// The rest of the path, behind the metric.
    path: &'static str,
    /// The list that an answer has, and how long that is at least.
    list: (&'static str, usize),
}

const READS: [Read; 5] = [
    Read {
        name: "series_hour",
        clients: CLIENTS,
        path: "series?video_id=video-7&from=-1h&step=1m",
        list: ("points", 60),
    },
    Read {
        name: "series_30_days",
        clients: CLIENTS,
        path: "series?video_id=video-7&from=-30d&step=1d",
        list: ("points", 30),
    },
    Read { name: "top_day", clients: FEW_CLIENTS, path: "top?from=-1d&limit=10", list: ("rows", 10) },
    Read { name: "top_60_days", clients: FEW_CLIENTS, path: "top?from=-60d&limit=10", list: ("rows", 10) },
    Read { name: "keys", clients: FEW_CLIENTS, path: "keys?prefix=video-1&limit=100", list: ("keys", 100) },
];

pub(crate) async fn measure(scenario: &Scenario, figures: &mut Figures) -> Result<()> {
    let stage = Stage::of(scenario).as_users_get_it().start().await?;
    let (mut events, mut rng) = (Events::new(Keys::Uniform, 29), StdRng::seed_from_u64(29));
    let mut within = move |ms: i64| {
        let name = video(rng.random_range(0..VIDEOS));
        events.about_before(&name, rng.random_range(0..ms))
    };
    let producer = stage.producer()?;
    for number in 0..BEFORE {
        producer.send(&within(if number % 2 == 0 { HOUR_MS } else { SIXTY_DAYS_MS }))?;
    }
    // The view ends where the speed layer has come to.
    stage.total_as_of(producer.flush()?).await?;
    stage.archived().await?;
    stage.deployment.reconcile().await?;
    stage.authoritative_total().await.context("before the load")?;

    let flow = Flow::start(&stage, RATE, move || within(1))?;
    tokio::time::sleep(WARM_UP).await;
    let address = address(&stage)?;
    for read in READS {
        read.measure(&address, figures).await.context(read.name)?;
    }
    figures.add("reads_load", flow.stop()?.rate, "events/s");
    Ok(())
}

impl Read {
    async fn measure(&self, address: &str, figures: &mut Figures) -> Result<()> {
        let clients = Clients::of(address, self.clients, &[format!("/v1/metrics/{METRIC}/{}", self.path)])?;
        let body = clients.body().await?;
        let answer: Value = serde_json::from_slice(&body)?;
        let (list, least) = self.list;
        let long = answer[list].as_array().with_context(|| format!("no {list}: {answer}"))?.len();
        ensure!(long >= least && answer["complete"] == true, "{long} {list}: {answer}");

        let bare = bare_per_second(&clients, body).await?;
        let per_second = clients.per_second(MEASURED).await?;
        figures.beside(format!("{}_per_second", self.name), per_second, "answers/s", bare);
        add_times(self.name, &clients, per_second, figures).await
    }
}
