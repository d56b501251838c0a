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
/// An increment is one of a rate that makes these rows in so many seconds.
const EVERY_S: usize = 100;
const TOLERANCE: f64 = 0.35;

/// A reconcile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// Rows that were archived and counted before.
    pub(super) history: usize,
    /// Rows that were new.
    pub(super) new: usize,
    /// Which share of them was late.
    pub(super) late: f64,
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
            full.push(Run::of(0, history, 0.0, &first));
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
        for run in &self.full {
            // The model knows no full one, which looks for no earlier copies.
            run.told(figures);
            figures.add(format!("growth_reconcile_cpu_{}", run.name()), run.cpu_seconds, "s");
        }
        let mut points = String::new();
        // The first of today's is the first of the histories', too.
        for run in self.of_histories.iter().chain(self.of_today.iter().skip(1)).chain([&self.late]) {
            let flags = run.flags();
            let cores = of_layer(&model.estimate(&flags).await?, "reconcile", "cores")?;
            run.told(figures);
            let (name, predicted) = (run.name(), cores * EVERY_S as f64);
            figures.beside(format!("growth_reconcile_cpu_{name}"), run.cpu_seconds, "s", predicted);
            // Increments of the smallest history make the coefficients, and those of longer ones are held to them.
            if run.history > HISTORY[0] && run.new == NEW[0] && run.late == 0.0 {
                let (measured, workload) = (run.cpu_seconds / EVERY_S as f64, flags.toml());
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
    fn of(history: usize, new: usize, late: f64, reconciled: &Reconciled) -> Run {
        let Reconciled { seconds, cpu_seconds, peak_mib, .. } = *reconciled;
        Run { history, new, late, seconds, cpu_seconds, peak_mib }
    }

    fn name(&self) -> String {
        let Run { history, new, late, .. } = self;
        let late = if *late > 0.0 { "_some_late" } else { "" };
        format!("{new}_new_rows{late}_on_{history}")
    }

    /// A rate, an interval and a history that make these rows.
    fn flags(&self) -> Flags {
        let flags = Flags::of(self.new as f64 / EVERY_S as f64, 100_000, 1);
        let flags = flags.with("late", self.late).with("copies", 0).with("skew", 0);
        let retain_s = self.history * EVERY_S / self.new;
        flags.with("reconcile-every", format!("{EVERY_S}s")).with("retain", format!("{retain_s}s"))
    }

    /// Adds how long it took and its memory.
    fn told(&self, figures: &mut Figures) {
        let name = self.name();
        figures.add(format!("growth_reconcile_seconds_{name}"), self.seconds, "s");
        figures.add(format!("growth_reconcile_peak_memory_{name}"), self.peak_mib, "MiB");
    }
}

/// Archives new events, of which that share is late, and adds them to the view.
async fn added(world: &mut World, history: usize, new: usize, late: f64) -> Result<Run> {
    world.archive_new(new, late).await?;
    let reconciled = world.reconcile().await?;
    Ok(Run::of(history, new, late, &reconciled))
}
