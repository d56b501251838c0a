//! A platform that asks for API keys, as an operator sets it up: `braid key new`, a file of keys, and commands that send one. No key and no
//! hash is in any log or answer, however much is logged.

use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use e2e_tests::binaries::binary;
use e2e_tests::views::{CatalogOptions, catalog};
use e2e_tests::{Scenario, Up, scenario};
use serde_json::Value;
use test_kit::{DEADLINE, Progress, free_port, wait_for};

/// A key, as `braid key new` prints it.
struct Made {
    key: String,
    hash: String,
    line: String,
}

#[test]
fn api_keys() {
    scenario("api_keys", async |scenario| {
        let path = |name: &str| scenario.dir().join(name);
        let (reader, other) = (made(scenario, "wall", "read")?, made(scenario, "ops", "admin")?);
        std::fs::write(path("keys"), format!("# dashboards\n{}\n", reader.line))?;
        std::fs::write(path("wall.key"), format!("{}\n", reader.key))?;
        std::fs::write(path("catalog.toml"), catalog(&CatalogOptions { name: "keys", ..CatalogOptions::of("views") }))?;
        let telemetry = format!("127.0.0.1:{}", free_port()?);
        let (keys, listen) =
            (format!("access.keys_file={}", path("keys").display()), format!("telemetry.listen={telemetry}"));
        let flags = ["--kafka", "in-process", "--set", &keys, "--set", &listen, "--set", "telemetry.log=debug"];
        let up = Up::start(&path("catalog.toml"), &path("data"), &flags, &path("up.out")).await?;
        let base = up.client.url().to_owned();

        let http = reqwest::Client::new();
        let ask = async |url: String, key: Option<&str>| {
            let request = http.get(url);
            let request = if let Some(key) = key { request.bearer_auth(key) } else { request };
            let answer = request.send().await?;
            Ok::<_, anyhow::Error>((answer.status().as_u16(), answer.text().await?))
        };
        let mut told = String::new();
        for (path, key, status) in [
            ("/v1/status", None, 401),
            ("/v1/status", Some(&other.key), 401),
            ("/v1/status", Some(&reader.hash), 401),
            ("/v1/status", Some(&reader.key), 200),
            ("/openapi.json", Some(&reader.key), 200),
            ("/metrics", Some(&reader.key), 404),
            ("/healthz", None, 200),
        ] {
            let (found, body) = ask(format!("{base}{path}"), key.map(String::as_str)).await?;
            ensure!(found == status, "{path} with {key:?}: {found} {body}");
            told.push_str(&body);
        }
        let (status, counters) = ask(format!("http://{telemetry}/metrics"), None).await?;
        ensure!(status == 200 && counters.contains("braid_serving_key_requests_total{key=\"wall\"}"), "{counters}");
        ensure!(counters.contains("braid_serving_refused_total{reason=\"no-key\"}"), "{counters}");
        ensure!(ask(format!("http://{telemetry}/healthz"), None).await?.0 == 200, "it lives");

        let refused = braid(scenario, &["query", "views", "--http", &base], None)?;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        ensure!(!refused.status.success() && said.contains("An API key is needed"), "{refused:?}");
        let wall = path("wall.key").display().to_string();
        let by_file = braid(scenario, &["query", "views", "--http", &base, "--api-key-file", &wall], None)?;
        ensure!(by_file.status.success(), "{by_file:?}");
        let by_variable = braid(scenario, &["query", "views", "--http", &base], Some(&reader.key))?;
        ensure!(by_variable.status.success(), "{by_variable:?}");

        // The log is written by another thread of the process; what was asked last is in it.
        wait_for("the log to tell of requests", DEADLINE, async || {
            let log = std::fs::read_to_string(path("up.out"))?;
            Ok(Progress::when(log.contains("answered") && log.contains("/v1/status"), "no request is logged"))
        })
        .await?;
        told += &std::fs::read_to_string(path("up.out"))?;
        told += &counters;
        told += &said;
        for secret in [&reader.key, &reader.hash, &other.key, &other.hash] {
            ensure!(!told.contains(secret.as_str()), "a log, an answer or an error tells a key or its hash");
        }
        Ok(())
    });
}

/// Makes a key.
fn made(scenario: &Scenario, name: &str, scope: &str) -> Result<Made> {
    let output = braid(scenario, &["key", "new", "--name", name, "--scope", scope, "--output", "json"], None)?;
    ensure!(output.status.success(), "{output:?}");
    let printed: Value = serde_json::from_slice(&output.stdout)?;
    let text =
        |member: &str| printed[member].as_str().map(str::to_owned).with_context(|| format!("no {member}: {printed}"));
    Ok(Made { key: text("key")?, hash: text("hash")?, line: text("line")? })
}

fn braid(scenario: &Scenario, arguments: &[&str], key: Option<&str>) -> Result<Output> {
    let mut command = Command::new(binary("braid")?);
    command.args(arguments).current_dir(scenario.dir()).env_remove("BRAID_API_KEY").env_remove("BRAID_API_KEY_FILE");
    if let Some(key) = key {
        command.env("BRAID_API_KEY", key);
    }
    Ok(command.output()?)
}
