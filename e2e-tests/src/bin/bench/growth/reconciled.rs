//! Reconciles: a full one of more and more history, and then one of what is new, more and more of it; and one with late events.

use anyhow::Result;
use e2e_tests::scenario::Scenario;

use super::model::{Flags, Model, of_layer};
use crate::figures::Figures;
use crate::reconcile::world::{Reconciled, World};

const DAYS: i64 = 60;
/// How many rows are archived before.
const HISTORY: [usize; 3] = [500_000, 1_000_000, 4_000_000];
/// How many new ones are added then, in the smallest world one after the other, and the first in each world.
const NEW: [usize; 4] = [100_000, 200_000, 400_000, 800_000];
/// How many of them are late in the end.
const LATE: f64 = 0.02;
/// Full reconciles of a rate and an interval that make these rows.
const FULL_EVERY_S: usize = 100;
const TOLERANCE: f64 = 0.3;

/// A reconcile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// Rows that were archived and counted before.
    pub(super) history: usize,
    /// Rows that were new.
    pub(super) new: usize,
    /// How long it took.
    pub(super) seconds: f64,
    /// Its CPU, in seconds.
    pub(super) cpu_seconds: f64,
    /// The most memory, in MiB.
    pub(super) peak_mib: f64,
}

/// How they went.
pub(super) struct Reconciles {
    /// A full one of each history.
    pub(super) full: Vec<Run>,
    /// The smallest increment of each history.
    pub(super) of_histories: Vec<Run>,
    /// Of the smallest history, larger and larger increments of today.
    pub(super) of_today: Vec<Run>,
    /// One as large as the first of these, of which some are late.
    pub(super) late: Run,
    /// Over how many days they lie.
    pub(super) late_days: f64,
    /// Bytes of the largest view for a row that was written.
    pub(super) view_bytes_per_row: f64,
    /// Bytes of its index of identities for an event.
    pub(super) identity_bytes_per_event: f64,
}

impl Reconciles {
    /// Makes worlds, and reconciles in them.
    pub(super) async fn measure(scenario: &Scenario) -> Result<Reconciles> {
        let (mut full, mut of_histories, mut of_today) = (Vec::new(), Vec::new(), Vec::new());
        let (mut view_bytes_per_row, mut identity_bytes_per_event) = (0.0, 0.0);
        let mut late = None;
        for history in HISTORY {
            let mut world = World::new(scenario, &format!("growth-{history}"), DAYS).await?;
            world.archive_history(history).await?;
            let first = world.reconcile().await?;
            let (view, runs) = world.bytes()?;
            view_bytes_per_row = view as f64 / first.rows_written;
            identity_bytes_per_event = runs as f64 / history as f64;
            full.push(Run::of(0, history, &first));
            let mut archived = history;
            for (at, new) in NEW.into_iter().enumerate() {
                if at > 0 && history > HISTORY[0] {
                    break;
                }
                let run = added(&mut world, archived, new, 0.0).await?;
                archived += new;
                if at == 0 {
                    of_histories.push(run);
                }
                if history == HISTORY[0] {
                    of_today.push(run);
                }
            }
            if history == HISTORY[0] {
                late = Some(added(&mut world, archived, NEW[0], LATE).await?);
            }
        }
        let late = late.expect("the smallest history is one of them");
        let late_days = DAYS as f64;
        let (view, identity) = (view_bytes_per_row, identity_bytes_per_event);
        Ok(Reconciles {
            full,
            of_histories,
            of_today,
            late,
            late_days,
            view_bytes_per_row: view,
            identity_bytes_per_event: identity,
        })
    }

    /// Adds what was measured beside what the model predicts; returns the points, as a test holds the model to them.
    pub(super) async fn beside(&self, model: &Model, figures: &mut Figures) -> Result<String> {
        let mut points = String::new();
        for run in self.full.iter().chain(&self.of_histories).chain(&self.of_today).chain([&self.late]) {
            let Run { history, new, seconds, cpu_seconds, peak_mib } = *run;
            let flags = Flags::of(new as f64 / FULL_EVERY_S as f64, 100_000, 1).plain();
            let flags = flags.with("reconcile-every", format!("{FULL_EVERY_S}s"));
            let cores = of_layer(&model.estimate(&flags).await?, "reconcile", "cores")?;
            let name = format!("{new}_new_rows_on_{history}");
            figures.add(format!("growth_reconcile_seconds_{name}"), seconds, "s");
            figures.add(format!("growth_reconcile_peak_memory_{name}"), peak_mib, "MiB");
            let predicted = cores * FULL_EVERY_S as f64;
            figures.beside(format!("growth_reconcile_cpu_{name}"), cpu_seconds, "s", predicted);
            // Increments make the coefficients, and full ones are held to them.
            if history == 0 {
                let (measured, workload) = (cpu_seconds / FULL_EVERY_S as f64, flags.toml());
                points += &format!(
                    "[[point]]\nname = \"{name}\"\nlayers = [\"reconcile\"]\nof = \"cores\"\nmeasured = {measured}\n\
                     tolerance = {TOLERANCE}\nsource = \"bench growth\"\nworkload = {workload}\n\n"
                );
            }
        }
        Ok(points)
    }
}

impl Run {
    fn of(history: usize, new: usize, reconciled: &Reconciled) -> Run {
        let Reconciled { seconds, cpu_seconds, peak_mib, .. } = *reconciled;
        Run { history, new, seconds, cpu_seconds, peak_mib }
    }
}

/// Archives new events, of which that share is late, and adds them to the view.
async fn added(world: &mut World, history: usize, new: usize, late: f64) -> Result<Run> {
    world.archive_new(new, late).await?;
    let reconciled = world.reconcile().await?;
    Ok(Run::of(history, new, &reconciled))
}
