//! Defaults, file, environment and flags merged into one table; later wins.
//!
//! Values from the environment and from flags are text. The table of defaults tells what type a key has: `"8080"` becomes a
//! number exactly where the default is a number.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::explained::{UNTOLD, explained};
use super::{Settings, SettingsError};

/// Names in the environment begin with this; `__` separates what a dot separates in TOML.
const PREFIX: &str = "BRAID__";

/// Tables whose keys belong to another library or to the operator, and what `_` in the environment means there.
const OPEN: [(&str, &str, &str); 3] = [("access", "keys", "_"), ("kafka", "client", "."), ("store", "options", "_")];

/// Keys that the defaults lack because they may be absent; all of them are text.
const OPTIONAL: [(&str, &str); 4] =
    [("access", "keys_file"), ("serving", "folder"), ("telemetry", "listen"), ("telemetry", "traces")];

pub(super) struct Merged {
    defaults: Table,
    table: Table,
    /// What the environment and the flags named, for the message if a value is refused.
    origins: Vec<String>,
}

impl Merged {
    /// Only the defaults.
    pub(super) fn of_defaults() -> Result<Merged, SettingsError> {
        let defaults = Table::try_from(Settings::default())
            .map_err(|error| SettingsError::Value { origin: "defaults".to_owned(), reason: error.to_string() })?;
        Ok(Merged { defaults, table: Table::new(), origins: Vec::new() })
    }

    /// Adds a file. It must be valid by itself, so that a mistake in it is shown with its line.
    pub(super) fn add_file(&mut self, path: &Path) -> Result<(), SettingsError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
        let wrong = |reason: toml::de::Error| SettingsError::File {
            path: PathBuf::from(path),
            reason: explained(&text, &reason),
        };
        toml::from_str::<Settings>(&text).map_err(wrong)?;
        self.table = toml::from_str(&text).map_err(wrong)?;
        Ok(())
    }

    /// Adds every variable `BRAID__SECTION__KEY`.
    pub(super) fn add_environment(&mut self, env: impl Iterator<Item = (String, String)>) -> Result<(), SettingsError> {
        // Sorted, so that of several mistakes the same one is reported each time.
        let mut variables: Vec<_> = env.filter(|(name, _)| name.starts_with(PREFIX)).collect();
        variables.sort();
        for (name, value) in variables {
            let path: Vec<String> = name[PREFIX.len()..].split("__").map(str::to_lowercase).collect();
            let origin = format!("environment variable {name}");
            let (section, rest) = path.split_first().ok_or_else(|| malformed(&origin, "BRAID__SECTION__KEY"))?;
            let key = match OPEN
                .iter()
                .find(|(s, table, _)| s == section && Some(*table) == rest.first().map(String::as_str))
            {
                Some((_, table, dot)) if rest.len() > 1 => {
                    format!("{table}.{}", rest[1..].join("__").replace('_', dot))
                }
                _ => rest.join("."),
            };
            self.set(origin, section, &key, value)?;
        }
        Ok(())
    }

    /// Adds pairs of `section.key` and value.
    pub(super) fn add_overrides(&mut self, overrides: &[(String, String)]) -> Result<(), SettingsError> {
        for (path, value) in overrides {
            let origin = format!("--set {path}");
            let (section, key) = path.split_once('.').ok_or_else(|| malformed(&origin, "--set SECTION.KEY=VALUE"))?;
            self.set(origin, section, key, value.clone())?;
        }
        Ok(())
    }

    /// The settings that result.
    pub(super) fn into_settings(self) -> Result<Settings, SettingsError> {
        let named = named(&self.table);
        // The file is valid by itself, so a mistake found now came from a variable or a flag.
        let settings: Settings = Value::Table(self.table).try_into().map_err(|error: toml::de::Error| {
            SettingsError::Value { origin: self.origins.join(", "), reason: error.to_string().trim_end().to_owned() }
        })?;
        Ok(Settings { named, ..settings })
    }

    fn set(&mut self, origin: String, section: &str, key: &str, text: String) -> Result<(), SettingsError> {
        let Some(Value::Table(known)) = self.defaults.get(section) else {
            return Err(unknown(origin, section, self.defaults.keys()));
        };
        let table = match self.table.entry(section.to_owned()).or_insert_with(|| Value::Table(Table::new())) {
            Value::Table(table) => table,
            _ => return Err(unknown(origin, section, self.defaults.keys())),
        };
        let open = key.split_once('.').filter(|(name, _)| OPEN.iter().any(|(s, t, _)| *s == section && t == name));
        if let Some((name, property)) = open {
            let inner = table.entry(name.to_owned()).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                // A file may hold the same property as nested tables; which of the two won would be chance.
                remove_nested(inner, property);
                inner.insert(property.to_owned(), Value::String(text));
            }
            return Ok(());
        }
        let like = known.get(key);
        if like.is_none() && !OPTIONAL.contains(&(section, key)) {
            let optional = OPTIONAL.iter().filter(|(s, _)| *s == section).map(|(_, k)| *k);
            return Err(unknown(origin, &format!("{section}.{key}"), known.keys().map(String::as_str).chain(optional)));
        }
        let value = typed(&origin, like, text, section != UNTOLD)?;
        table.insert(key.to_owned(), value);
        self.origins.push(origin);
        Ok(())
    }
}

/// All keys of a table of sections, as `section.key`.
fn named(table: &Table) -> BTreeSet<String> {
    let sections = table.iter().filter_map(|(section, value)| Some((section, value.as_table()?)));
    sections.flat_map(|(section, keys)| keys.keys().map(move |key| format!("{section}.{key}"))).collect()
}

/// Reads text as the type that the default value has. Whether an error may repeat it, `is_told` says.
fn typed(origin: &str, like: Option<&Value>, text: String, is_told: bool) -> Result<Value, SettingsError> {
    let wrong = |expected: &str| {
        let got = if is_told { format!("got {text:?}") } else { "got something else".to_owned() };
        SettingsError::Value { origin: origin.to_owned(), reason: format!("expected {expected}, {got}") }
    };
    match like {
        Some(Value::Integer(_)) => {
            text.replace('_', "").parse().map(Value::Integer).map_err(|_| wrong("a whole number"))
        }
        Some(Value::Float(_)) => text.parse().map(Value::Float).map_err(|_| wrong("a number")),
        Some(Value::Boolean(_)) => text.parse().map(Value::Boolean).map_err(|_| wrong("true or false")),
        Some(Value::Table(_)) => Err(wrong("a key within this table, not a value for it")),
        _ => Ok(Value::String(text)),
    }
}

fn remove_nested(table: &mut Table, property: &str) {
    table.remove(property);
    if let Some((first, rest)) = property.split_once('.')
        && let Some(Value::Table(inner)) = table.get_mut(first)
    {
        remove_nested(inner, rest);
    }
}

fn malformed(origin: &str, expected: &'static str) -> SettingsError {
    SettingsError::Malformed { origin: origin.to_owned(), expected }
}

fn unknown<'a>(origin: String, key: &str, known: impl Iterator<Item = impl AsRef<str> + 'a>) -> SettingsError {
    let known: Vec<String> = known.map(|name| name.as_ref().to_owned()).collect();
    SettingsError::Unknown { origin, key: key.to_owned(), known: known.join(", ") }
}
