//! What `braid size` says.

use std::path::PathBuf;

use anyhow::{Context, Result};
use e2e_tests::Deployment;
use e2e_tests::scenario::Scenario;
use e2e_tests::views::{CatalogOptions, catalog};
use serde_json::Value;
use test_kit::DEADLINE;

/// The command, with its own coefficients or with others.
pub(super) struct Model {
    /// Where the command runs. It asks nothing of it.
    deployment: Deployment,
    coefficients: Option<PathBuf>,
}

/// A workload without late events and copies, whose average is the busiest time.
#[derive(Debug, Clone)]
pub(super) struct Flags(Vec<(&'static str, String)>);

impl Flags {
    /// So many events per second of so many keys, counted by so many metrics.
    pub(super) fn of(events_per_second: f64, keys: u32, metrics: u32) -> Flags {
        let flags = Flags(Vec::new()).with("events-per-second", events_per_second).with("keys", keys);
        flags.with("metrics", metrics).with("peak", 1)
    }

    /// The same with a flag.
    pub(super) fn with(mut self, name: &'static str, value: impl ToString) -> Flags {
        self.0.push((name, value.to_string()));
        self
    }

    /// The same without late events, copies and skew.
    pub(super) fn plain(self) -> Flags {
        self.with("late", 0).with("copies", 0).with("skew", 0)
    }

    /// As a point says it.
    pub(super) fn toml(&self) -> String {
        let said = |(name, value): &(&str, String)| {
            let name = name.replace('-', "_");
            if value.parse::<f64>().is_ok() || value == "true" {
                format!("{name} = {value}")
            } else {
                format!("{name} = \"{value}\"")
            }
        };
        format!("{{ {} }}", self.0.iter().map(said).collect::<Vec<_>>().join(", "))
    }

    fn arguments(&self) -> Vec<String> {
        let said = |(name, value): &(&str, String)| {
            if value == "true" { format!("--{name}") } else { format!("--{name}={value}") }
        };
        self.0.iter().map(said).collect()
    }
}

impl Model {
    /// With the coefficients that come with the program.
    pub(super) fn new(scenario: &Scenario) -> Result<Model> {
        let text = catalog(&CatalogOptions::of("size"));
        let deployment = Deployment::new(&scenario.dir().join("size"), &text, "127.0.0.1:9", "redis://127.0.0.1:9")?;
        Ok(Model { deployment, coefficients: None })
    }

    /// The same with those of a file in place of them.
    pub(super) fn with(self, coefficients: PathBuf) -> Model {
        Model { coefficients: Some(coefficients), ..self }
    }

    /// What the workload needs.
    pub(super) async fn estimate(&self, flags: &Flags) -> Result<Value> {
        let text = self.run(flags, "json").await?;
        serde_json::from_str(&text).with_context(|| format!("not an estimate: {text}"))
    }

    /// The same for a person.
    pub(super) async fn page(&self, flags: &Flags) -> Result<String> {
        self.run(flags, "table").await
    }

    async fn run(&self, flags: &Flags, output: &str) -> Result<String> {
        let mut arguments = vec!["size".to_owned(), format!("--output={output}")];
        arguments.extend(flags.arguments());
        arguments.extend(self.coefficients.as_ref().map(|path| format!("--coefficients={}", path.display())));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.deployment.braid(&arguments, DEADLINE).await
    }
}

/// A member of a layer of an estimate.
pub(super) fn of_layer(estimate: &Value, layer: &str, of: &str) -> Result<f64> {
    let layers = estimate["layers"].as_array().context("no layers")?;
    let found = layers.iter().find(|found| found["name"] == layer).with_context(|| format!("no layer {layer}"))?;
    found[of].as_f64().with_context(|| format!("no number {of}: {found}"))
}
