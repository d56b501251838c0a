//! Every setting is explained wherever an operator looks for it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use platform::settings::Settings;

/// The sections' settings are passed on by this file …
const COMPOSE: &str = "docker-compose.yml";
/// … explained in this one …
const EXAMPLE: &str = ".env.example";
/// … and judged in this one.
const MANUAL: &str = "docs/operations.md";
/// What the compose file decides itself, as it follows from how its services lie beside each other.
const DECIDED: [&str; 4] = ["catalog.path", "http.listen", "serving.folder", "telemetry.listen"];
/// Tables whose keys are another library's, or the operator's. Those that are often needed are passed on one by one.
const OPEN: [&str; 3] = ["access.keys", "kafka.client", "store.options"];

#[test]
fn every_setting_is_explained_and_passed_on() -> Result<()> {
    let (compose, example, manual) = (read(COMPOSE)?, read(EXAMPLE)?, read(MANUAL)?);
    for key in settings()? {
        ensure!(manual.contains(&format!("`{key}`")), "{MANUAL} does not say when to change {key}");
        if OPEN.contains(&key.as_str()) {
            continue;
        }
        let variable = format!("BRAID__{}", key.to_uppercase().replace('.', "__"));
        ensure!(compose.contains(&format!("{variable}:")), "{COMPOSE} does not pass {variable} on to the services");
        let is_explained = example.contains(&format!("#{variable}="));
        ensure!(is_explained || DECIDED.contains(&key.as_str()), "{EXAMPLE} does not explain {variable}");
    }
    Ok(())
}

/// All of them, as `section.key`.
fn settings() -> Result<Vec<String>> {
    let defaults = serde_json::to_value(Settings::default())?;
    let optional = ["access.keys_file", "serving.folder", "telemetry.listen", "telemetry.traces"];
    let mut keys: Vec<String> = optional.map(str::to_owned).to_vec();
    for (section, of_section) in defaults.as_object().context("settings are sections")? {
        let of_section = of_section.as_object().context("a section is a table")?;
        keys.extend(of_section.keys().map(|key| format!("{section}.{key}")));
    }
    Ok(keys)
}

fn read(path: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}
