//! A real Prometheus (the system's package `prometheus`) that scrapes one process by the rules of `deploy/prometheus`, and what those rules
//! and the dashboard of `deploy/grafana` ask of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Client;
use serde_json::Value;
use test_kit::{DEADLINE, Process, Progress, free_port, wait_for};

use crate::fetched::{notice, refuse_in_ci};

/// The rate interval that stands for what Grafana would choose.
const RATE_INTERVAL: &str = "15s";

/// A running Prometheus. It is killed when it is dropped.
pub struct Prometheus {
    _process: Process,
    base: String,
    client: Client,
}

/// A query, and where it stands.
#[derive(Debug)]
pub struct Query {
    /// The panel of the dashboard or the alert.
    pub origin: String,
    /// In Prometheus' language.
    pub expression: String,
}

impl Prometheus {
    /// Starts one that scrapes `target` every second. `None` where the package is not installed and need not be.
    pub async fn scraping(target: &str, folder: &Path) -> Result<Option<Prometheus>> {
        let is_there = |program| Command::new(program).arg("--version").output().is_ok_and(|it| it.status.success());
        if !is_there("prometheus") || !is_there("promtool") {
            let why = "the package prometheus is not installed (deploy/install.sh test installs it)";
            refuse_in_ci("prometheus", why)?;
            notice(&format!("rules and dashboard are not tested: {why}"));
            return Ok(None);
        }
        let config = folder.join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{:?}]\nscrape_configs:\n  - job_name: braid\n    \
             static_configs: [{{targets: [{target:?}]}}]\n",
            deployed("prometheus/rules.yml").canonicalize()?
        );
        std::fs::write(&config, text)?;
        let port = free_port()?;
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("measured").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg("--log.level=warn");
        let process = Process::start("prometheus", command, &folder.join("prometheus.out"))?;
        let client = Client::builder().timeout(Duration::from_secs(20)).build()?;
        let started = Prometheus { _process: process, base: format!("http://127.0.0.1:{port}"), client };
        wait_for("prometheus to be ready", DEADLINE, async || {
            let answer = started.client.get(format!("{}/-/ready", started.base)).send().await;
            Ok(Progress::when(answer.as_ref().is_ok_and(|it| it.status().is_success()), format_args!("{answer:?}")))
        })
        .await?;
        Ok(Some(started))
    }

    /// How many series a query gives now.
    ///
    /// # Errors
    /// If Prometheus refuses it.
    pub async fn series(&self, expression: &str) -> Result<usize> {
        let answer = self.get("/api/v1/query", &[("query", expression)]).await?;
        Ok(answer["result"].as_array().with_context(|| format!("{expression}: {answer}"))?.len())
    }

    /// The alert rules as they were evaluated last: name, health, and the last error.
    pub async fn rules(&self) -> Result<Vec<(String, String, String)>> {
        let answer = self.get("/api/v1/rules", &[]).await?;
        let text = |rule: &Value, member: &str| rule[member].as_str().unwrap_or_default().to_owned();
        let rules = answer["groups"].as_array().into_iter().flatten().flat_map(|group| group["rules"].as_array());
        let rules = rules.flatten().map(|rule| (text(rule, "name"), text(rule, "health"), text(rule, "lastError")));
        Ok(rules.collect())
    }

    async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value> {
        let answer = self.client.get(format!("{}{path}", self.base)).query(parameters).send().await?;
        let status = answer.status();
        let body: Value = serde_json::from_str(&answer.text().await?)?;
        ensure!(status.is_success() && body["status"] == "success", "{parameters:?}: {status} {body}");
        Ok(body["data"].clone())
    }
}

/// Checks and unit tests the rules with `promtool`, and the configuration that the compose file mounts.
pub fn promtool() -> Result<()> {
    for arguments in
        [["check", "config", "prometheus.yml"], ["check", "rules", "rules.yml"], ["test", "rules", "rules_test.yml"]]
    {
        let output = Command::new("promtool").args(arguments).current_dir(deployed("prometheus")).output()?;
        let printed = [output.stdout, output.stderr].concat();
        ensure!(output.status.success(), "promtool {arguments:?}:\n{}", String::from_utf8_lossy(&printed));
    }
    Ok(())
}

/// Every query of the dashboard.
pub fn of_dashboard() -> Result<Vec<Query>> {
    let text = std::fs::read_to_string(deployed("grafana/dashboards/braid.json"))?;
    let dashboard: Value = serde_json::from_str(&text)?;
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().context("a dashboard has panels")? {
        let title = panel["title"].as_str().context("a panel has a title")?;
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().with_context(|| format!("{title} has no query"))?;
            let expression = expression.replace("$__rate_interval", RATE_INTERVAL);
            ensure!(!expression.contains('$'), "{title} uses a variable: {expression}");
            queries.push(Query { origin: format!("panel {title}"), expression });
        }
    }
    Ok(queries)
}

/// What every alert compares with its limit. While all is well, the comparison itself gives nothing.
pub fn of_alerts() -> Result<Vec<Query>> {
    let text = std::fs::read_to_string(deployed("prometheus/rules.yml"))?;
    let (mut queries, mut alert) = (Vec::new(), None);
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("- alert: ") {
            ensure!(alert.replace(name.to_owned()).is_none(), "the alert before {name} has no expression in one line");
        } else if let Some(expression) = line.strip_prefix("expr: ") {
            let origin = alert.take().with_context(|| format!("{expression} belongs to no alert"))?;
            let (value, limit) = expression.rsplit_once(' ').with_context(|| format!("{origin} has no limit"))?;
            let value = value.strip_suffix(['<', '>']).with_context(|| format!("{origin} compares with no limit"))?;
            ensure!(limit.parse::<f64>().is_ok(), "{origin}: {limit} is no limit");
            queries.push(Query { origin: format!("alert {origin}"), expression: value.trim().to_owned() });
        }
    }
    ensure!(alert.is_none() && !queries.is_empty(), "{alert:?} has no expression in one line");
    Ok(queries)
}

fn deployed(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(path)
}
