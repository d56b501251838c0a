//! What was measured.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

/// One measured figure, and the limit or rival that it stands beside.
#[derive(Debug, Clone, Serialize)]
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    baseline: Option<f64>,
    ratio: Option<f64>,
}

/// Every figure of a run.
#[derive(Debug, Default)]
pub(crate) struct Figures(Vec<Figure>);

impl Figures {
    /// Adds a figure that stands for itself.
    pub(crate) fn add(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        self.push(Figure { name: name.into(), value, unit, baseline: None, ratio: None });
    }

    /// Adds a figure beside its limit.
    pub(crate) fn beside(&mut self, name: impl Into<String>, value: f64, unit: &'static str, baseline: f64) {
        self.push(Figure { name: name.into(), value, unit, baseline: Some(baseline), ratio: Some(value / baseline) });
    }

    /// What was measured under that name, if it was.
    pub(crate) fn value(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|figure| figure.name == name).map(|figure| figure.value)
    }

    /// Writes them as JSON.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.0)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    fn push(&mut self, figure: Figure) {
        // As they come, since a run takes minutes.
        eprintln!("{figure}");
        self.0.push(figure);
    }
}

/// The value that so large a share of them does not exceed; they are sorted, and there is at least one.
pub(crate) fn share(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<44} {:>14.2} {:<10}", self.name, self.value, self.unit)?;
        if let (Some(baseline), Some(ratio)) = (self.baseline, self.ratio) {
            write!(f, " baseline {baseline:>14.2}  ratio {ratio:.2}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|figure| writeln!(f, "{figure}"))
    }
}
