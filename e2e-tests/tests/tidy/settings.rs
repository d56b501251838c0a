//! Every setting is explained wherever an operator looks for it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use platform::settings::Settings;

/// The sections' settings are passed on by this file …
const COMPOSE: &str = "docker-compose.yml";
/// … explained in this one …
const EXAMPLE: &str = ".env.example";
/// … and judged in this one.
const MANUAL: &str = "docs/operations.md";
/// These name settings, too.
const MANIFESTS: &str = "deploy/kubernetes";
/// What a setting's variable begins with.
const PREFIX: &str = "BRAID__";
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
        let variable = format!("{PREFIX}{}", key.to_uppercase().replace('.', "__"));
        ensure!(compose.contains(&format!("{variable}:")), "{COMPOSE} does not pass {variable} on to the services");
        let is_explained = example.contains(&format!("#{variable}="));
        ensure!(is_explained || DECIDED.contains(&key.as_str()), "{EXAMPLE} does not explain {variable}");
    }
    Ok(())
}

#[test]
fn manifests_name_settings_that_there_are() -> Result<()> {
    let (known, mut files) = (settings()?, Vec::new());
    collect(&root().join(MANIFESTS), &mut files)?;
    let mut named = 0;
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        for rest in text.split(PREFIX).skip(1) {
            let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(rest.len());
            let key = rest[..end].to_lowercase().replace("__", ".");
            let is_open = OPEN.iter().any(|open| key.strip_prefix(open).is_some_and(|rest| rest.starts_with('.')));
            ensure!(is_open || known.contains(&key), "{} names a setting {key}, which does not exist", file.display());
            named += 1;
        }
    }
    ensure!(named > 0, "{MANIFESTS} names no settings");
    Ok(())
}

/// All files in a folder and in those below it.
fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, found)?;
        } else {
            found.push(path);
        }
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

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> Result<String> {
    let path = root().join(path);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}
