//! Finds the catalog that a command uses.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use platform::settings::Settings;
use shared_logic::catalog::Catalog;

/// The catalog that is shipped with Braid.
pub const SHIPPED: &str = include_str!("../../catalog.toml");

/// Reads the catalog that the settings name. If they name none and the default file does not exist, this is the shipped one.
///
/// # Errors
/// If the file cannot be read, or has mistakes; the error lists all of them, one on each line.
pub fn load(settings: &Settings) -> Result<Catalog> {
    let path = &settings.catalog.path;
    match std::fs::read_to_string(path) {
        Ok(text) => parse(path, &text),
        Err(error) if error.kind() == ErrorKind::NotFound && !settings.is_named("catalog.path") => {
            parse(Path::new("the shipped catalog"), SHIPPED)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read the catalog {}", path.display())),
    }
}

fn parse(path: &Path, text: &str) -> Result<Catalog> {
    let catalog = Catalog::parse_file(path, text);
    catalog.map_err(|refused| anyhow!("the catalog has {} mistakes\n{refused}", refused.mistakes.len()))
}
