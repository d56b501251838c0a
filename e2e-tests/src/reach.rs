//! What is true of the metric `reach`, whose measures are sketches: counted with sets and sorted lists, which are never too small.

use std::collections::{BTreeMap, HashSet};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::views::{CatalogOptions, Sent, catalog as sample};

/// The metric.
pub const REACH: &str = "reach";
/// How many values are listed.
const LISTED: usize = 5;
/// Up to how many ids their number is exact: far fewer than there are.
const IDS_EXACT: usize = 128;
/// By how much a quantile may differ.
const RELATIVE_ERROR: f64 = 0.01;

/// The sample catalog, with another metric over the same source.
pub fn catalog(name: &str) -> String {
    let sample = sample(&CatalogOptions::of(name));
    format!(
        r#"{sample}
[metrics.{REACH}]
source = "views"
where = "status = 200"
by = ["video_id"]
grain = "1h"
[metrics.{REACH}.measures]
views = "count()"
videos = "distinct(video_id)"
ids = "distinct(event_id, {IDS_EXACT})"
dwell = "quantile(dwell_ms)"
frequent = "top(video_id, {LISTED})"
[metrics.{REACH}.derived]
p50 = "quantile(dwell, 0.5)"
p99 = "quantile(dwell, 0.99)"
views_per_video = "views / videos"
"#
    )
}

/// Everything that was sent, as the metric means it.
#[derive(Debug, Default)]
pub struct Reach {
    seen: HashSet<(String, i64)>,
    videos: BTreeMap<String, u64>,
    ids: HashSet<String>,
    dwell_ms: Vec<i64>,
}

impl Reach {
    /// Takes in what was sent.
    pub fn observe<'a>(&mut self, sent: impl IntoIterator<Item = &'a Sent>) {
        for event in sent.into_iter().filter_map(|sent| sent.event.as_ref()) {
            if !self.seen.insert((event.id.clone(), event.at_ms)) || event.status != 200 {
                continue;
            }
            *self.videos.entry(event.video.clone()).or_default() += 1;
            self.ids.insert(event.id.clone());
            self.dwell_ms.extend(event.dwell_ms);
        }
    }

    /// A total over everything says the truth: exactly where sketches are exact, and else within the bounds that it states.
    ///
    /// # Errors
    /// What it says that is not true.
    pub fn is_told_by(&self, answer: &Answer) -> Result<()> {
        let body: Value = serde_json::from_str(&answer.text)?;
        let (values, bounds) = (&body["values"], &body["bounds"]);
        let views: u64 = self.videos.values().sum();
        ensure!(values["views"] == views && values["videos"] == self.videos.len(), "{views} views: {answer:?}");
        ensure!(bounds["videos"]["exact"] == true && values.get("dwell").is_none(), "{answer:?}");
        ensure!(values["frequent"] == self.listed() && bounds["frequent"]["exact"] == true, "{answer:?}");
        let per_video = views as f64 / self.videos.len() as f64;
        ensure!(values["views_per_video"] == per_video, "{per_video} of each: {answer:?}");

        ensure!(
            self.ids.len() > 2 * IDS_EXACT && bounds["ids"]["exact"] == false,
            "{} ids: {answer:?}",
            self.ids.len()
        );
        // Twice as wide as what holds in 95 of 100 cases.
        let of = |name: &str| bounds["ids"][name].as_i64().context("no such bound");
        let (low, high, ids) = (of("low")?, of("high")?, self.ids.len() as i64);
        let room = high - low;
        ensure!((low - room / 2..=high + room / 2).contains(&ids), "{ids} ids: {answer:?}");

        let mut sorted = self.dwell_ms.clone();
        sorted.sort_unstable();
        for (name, q) in [("p50", 0.5), ("p99", 0.99)] {
            let expected = sorted[(q * (sorted.len() - 1) as f64) as usize] as f64;
            let found = values[name].as_f64().with_context(|| format!("no {name}: {answer:?}"))?;
            ensure!((found - expected).abs() <= RELATIVE_ERROR * expected, "{name} is {expected}: {answer:?}");
            ensure!(bounds[name]["relative_error"] == RELATIVE_ERROR, "{answer:?}");
        }
        Ok(())
    }

    /// The most frequent videos as an answer lists them.
    fn listed(&self) -> Value {
        let mut videos: Vec<(&String, u64)> = self.videos.iter().map(|(video, views)| (video, *views)).collect();
        videos.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let listed = videos.into_iter().take(LISTED);
        listed.map(|(video, views)| json!({"value": video, "count": views, "at_most": views})).collect()
    }
}
