//! `sketches`: how far what sketches say is from the truth, and how many bytes they take, of 1 and of 10 million values; and what
//! merging costs. How fast the speed layer counts with one stands in `speed`.
//!
//! The core alone is measured, on one core: no process does only this.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, LogNormal, Zipf};
use shared_logic::measure::{Argument, MeasureKind, Sketch, Value};

use crate::figures::Figures;

const VALUES: [usize; 2] = [1_000_000, 10_000_000];
/// So many values are one part, as a micro-batch has them; parts are merged.
const PART: usize = 10_000;
/// How many values `top` lists, of so many.
const LISTED: u32 = 10;
const PAGES: f64 = 1_000_000.0;

pub(crate) fn measure(figures: &mut Figures) -> Result<()> {
    for values in VALUES {
        let name = format!("of_{}_million", values / 1_000_000);
        distinct(figures, &name, values)?;
        quantile(figures, &name, values)?;
        top(figures, &name, values)?;
    }
    Ok(())
}

/// Each value once.
fn distinct(figures: &mut Figures, name: &str, values: usize) -> Result<()> {
    let kind = MeasureKind::Distinct { k: 4_096 };
    let sketch = folded(figures, &format!("distinct_{name}"), kind, (0..values as i64).map(Argument::Int))?;
    let Sketch::Distinct(theta) = &sketch else { anyhow::bail!("another sketch: {sketch}") };
    let ((low, high), estimate) = (theta.bounds(), theta.estimate());
    figures.beside(
        format!("distinct_error_{name}"),
        percent(estimate as f64, values as f64),
        "%",
        percent(high as f64, estimate as f64),
    );
    ensure!(
        2 * low - estimate <= values as i64 && values as i64 <= 2 * high - estimate,
        "far outside: {low} to {high}"
    );
    Ok(())
}

/// Latencies, most of them small and a few large.
fn quantile(figures: &mut Figures, name: &str, values: usize) -> Result<()> {
    let (mut rng, latency) = (StdRng::seed_from_u64(1), LogNormal::new(4.0, 1.5).context("valid parameters")?);
    let mut latencies: Vec<f64> = (0..values).map(|_| latency.sample(&mut rng)).collect();
    let given = latencies.iter().copied().map(Argument::Float);
    let sketch = folded(figures, &format!("quantile_{name}"), MeasureKind::Quantile, given)?;
    let Sketch::Quantile(bins) = &sketch else { anyhow::bail!("another sketch: {sketch}") };
    latencies.sort_unstable_by(f64::total_cmp);
    let mut worst: f64 = 0.0;
    for q in [0.01, 0.5, 0.9, 0.99, 0.999] {
        let found = bins.quantile(q).context("there are values")?;
        worst = worst.max(percent(found, latencies[(q * (values - 1) as f64) as usize]));
    }
    figures.beside(format!("quantile_error_{name}"), worst, "%", 1.0);
    ensure!(worst <= 1.0, "the error is {worst} %");
    Ok(())
}

/// Pages of which some are far more popular than others.
fn top(figures: &mut Figures, name: &str, values: usize) -> Result<()> {
    let (mut rng, popular) = (StdRng::seed_from_u64(1), Zipf::new(PAGES, 1.1).context("valid parameters")?);
    let pages: Vec<i64> = (0..values).map(|_| popular.sample(&mut rng) as i64).collect();
    let kind = MeasureKind::Top { n: LISTED };
    let sketch = folded(figures, &format!("top_{name}"), kind, pages.iter().copied().map(Argument::Int))?;
    let Sketch::Top(frequent) = &sketch else { anyhow::bail!("another sketch: {sketch}") };
    let mut widest: f64 = 0.0;
    for ranked in frequent.ranked(LISTED as usize) {
        let page = ranked.value.as_i64().context("a page is a number")?;
        let seen = pages.iter().filter(|other| **other == page).count() as u64;
        ensure!(ranked.count <= seen && seen <= ranked.at_most, "page {page} was seen {seen} times: {ranked:?}");
        widest = widest.max((ranked.at_most - ranked.count) as f64 / values as f64 * 100.0);
    }
    figures.beside(format!("top_error_{name}"), widest, "% of events", 100.0 / 257.0);
    Ok(())
}

/// The sketch of values that come in parts, what it takes, and how fast it was made.
fn folded<'a>(
    figures: &mut Figures,
    name: &str,
    kind: MeasureKind,
    values: impl Iterator<Item = Argument<'a>>,
) -> Result<Sketch> {
    let (mut values, mut whole, mut count) = (values.peekable(), kind.identity(), 0_usize);
    let began = Instant::now();
    while values.peek().is_some() {
        let part = values.by_ref().take(PART).map(|of| {
            count += 1;
            kind.of_event(of)
        });
        whole = kind.merge(whole, merged(kind, part.collect()));
    }
    let whole: Value = black_box(whole);
    figures.add(format!("{name}_merges_per_second"), count as f64 / began.elapsed().as_secs_f64(), "merges/s");
    let sketch = whole.sketch().context("no sketch")?.clone();
    figures.add(format!("{name}_bytes"), sketch.to_bytes().len() as f64, "bytes");
    Ok(sketch)
}

/// Merges values in pairs, as partials are.
fn merged(kind: MeasureKind, mut values: Vec<Value>) -> Value {
    while values.len() > 1 {
        let pairs = values.chunks(2).map(|pair| match pair {
            [a, b] => kind.merge(a.clone(), b.clone()),
            [one] => one.clone(),
            _ => kind.identity(),
        });
        values = pairs.collect();
    }
    values.pop().unwrap_or_else(|| kind.identity())
}

fn percent(found: f64, expected: f64) -> f64 {
    (found - expected).abs() / expected * 100.0
}
