//! `growth_…`: how what is needed grows with instances, partitions, keys, metrics and history; each point stands beside what `braid size`
//! predicts of it. Prints the coefficients of this machine in the form of `braid/src/size/coefficients.toml`, the points that these were not made of
//! in that of `braid/src/size/points.toml`, and what these coefficients say of ten million events a second; the first two are written to
//! `target/coefficients.toml` and `target/points.toml` as well. About four minutes.
//!
//! - `events`: what is sent, and the catalog;
//! - `counted`: a full topic that workers count;
//! - `archived`: a full topic that an archiver drains;
//! - `reconciled`: reconciles after more and more events, on more and more history;
//! - `asked`: what a request costs, and what a segment takes;
//! - `cpu`: what processes have used;
//! - `fit`: least squares; `coefficients`: what follows from all of it;
//! - `model`: what `braid size` says.

mod archived;
mod asked;
mod coefficients;
mod counted;
mod cpu;
mod events;
mod fit;
mod model;
mod reconciled;

use anyhow::Result;
use e2e_tests::binaries::target_dir;
use e2e_tests::scenario::Scenario;

use self::archived::Archived;
use self::asked::Asked;
use self::coefficients::Coefficients;
use self::counted::{Counted, Counting};
use self::model::{Flags, Model};
use self::reconciled::Reconciles;
use crate::figures::Figures;

/// What no axis varies.
const USUAL: Counting = Counting { partitions: 4, keys: 250_000, metrics: 1, minutes: 1, workers: 1 };
/// The ends of an axis make coefficients, and what lies between is held to them.
const KEYS: [u32; 3] = [62_500, 250_000, 1_000_000];
const METRICS: [u32; 4] = [1, 2, 5, 10];
const PARTITIONS: [i32; 3] = [1, 8, 16];
const WORKERS: [u32; 2] = [2, 4];
/// Few keys, so that metrics are seen and not their counters.
const KEYS_OF_METRICS: u32 = 4_000;
/// Keys with several buckets each.
const BUCKETS: Counting = Counting { keys: 62_500, minutes: 8, ..USUAL };

pub(crate) async fn measure(scenario: &Scenario, figures: &mut Figures) -> Result<()> {
    let model = Model::new(scenario)?;
    let mut counted = Vec::new();
    for counting in countings() {
        counted.push(Counted::of(scenario, counting, &model).await?);
    }
    let archived = Archived::measure(scenario).await?;
    let reconciles = Reconciles::measure(scenario).await?;
    let asked = Asked::measure(scenario).await?;

    let coefficients = Coefficients::of(&counted, &archived, &reconciles, &asked)?;
    let text = coefficients.text()?;
    let path = target_dir()?.join("coefficients.toml");
    std::fs::write(&path, &text)?;
    let model = model.with(path);
    let mut points = String::new();
    for one in &counted {
        let beside = one.beside(&model, figures).await?;
        if !makes_coefficients(&one.counting) {
            points += &beside;
        }
    }
    points += &reconciles.beside(&model, figures).await?;
    std::fs::write(target_dir()?.join("points.toml"), &points)?;
    println!("# coefficients of this machine, for braid/src/size/coefficients.toml\n\n{text}");
    println!("# points that they were not made of, for braid/src/size/points.toml\n\n{points}");
    println!("{}", model.page(&Flags::of(1e7, 100_000_000, 1).with("replicas", 3)).await?);
    Ok(())
}

/// Whether coefficients are made of it: it is an end of the axes of keys, metrics and buckets.
fn makes_coefficients(counting: &Counting) -> bool {
    let keys = [KEYS[0], KEYS[2]].map(|keys| Counting { keys, ..USUAL });
    let metrics = [METRICS[0], METRICS[3]].map(|metrics| Counting { metrics, keys: KEYS_OF_METRICS, ..USUAL });
    keys.contains(counting) || metrics.contains(counting) || *counting == BUCKETS
}

/// Every point of every axis, once.
fn countings() -> Vec<Counting> {
    let keys = KEYS.map(|keys| Counting { keys, ..USUAL });
    let metrics = METRICS.map(|metrics| Counting { metrics, keys: KEYS_OF_METRICS, ..USUAL });
    let partitions = PARTITIONS.map(|partitions| Counting { partitions, ..USUAL });
    let workers = WORKERS.map(|workers| Counting { workers, ..USUAL });
    [&keys[..], &metrics, &partitions, &workers, &[BUCKETS]].concat()
}
