//! `braid key`: makes API keys for the serving layer.

use std::fmt;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use platform::api_key::{self, KeyHash, Scope};
use serde::Serialize;

use super::output::{Output, show};

/// Makes API keys, of which the settings of the serving layer hold only the hashes
#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// Makes a key and prints it, once, with the line that belongs into the settings of the serving layer
    ///
    /// Nothing is written and no process is told: put the line into the settings file, or into the file that `access.keys_file` names, and restart
    /// the serving layer. The key itself is kept nowhere. Whoever has it may ask: hand it over as you would a password.
    New(New),
}

/// What the key is for, and how it is printed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid key new --scope read --name dashboards
  braid key new --scope admin --name ops --output json | jq -r .key > ops.key
  braid status --api-key-file ops.key")]
pub struct New {
    /// What its holder may do: `read` asks for answers; `admin` also sees the bytes of invalid records
    #[arg(long, value_name = "SCOPE")]
    scope: Scope,
    /// What the key is called in settings, problems and telemetry
    #[arg(long, value_name = "NAME", default_value = "key")]
    name: String,
    /// How it is printed [default: table on a terminal, else json]
    #[arg(long, value_name = "FORM", value_enum)]
    output: Option<Output>,
}

/// A key, as it is printed.
#[derive(Debug, Serialize)]
struct Made {
    name: String,
    scope: &'static str,
    key: String,
    /// What stands in the settings for it.
    hash: String,
    /// The line for a settings file, in the section `[access.keys]`.
    setting: String,
    /// The line for the file that `access.keys_file` names.
    line: String,
}

/// Runs the command.
///
/// # Errors
/// If the name is none, or the operating system gives no random bytes.
pub fn run(args: Args) -> Result<ExitCode> {
    let Args::New(args) = args;
    let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "_-".contains(letter);
    let is_name = (1..=64).contains(&args.name.len()) && args.name.chars().all(is_plain);
    ensure!(is_name, "--name {:?} is no name for a key: use at most 64 of a-z, 0-9, _ and -", args.name);
    let key = api_key::random().map_err(|_| anyhow::anyhow!("the operating system gives no random bytes"))?;
    show(args.output, &Made::new(args.name, args.scope, &key))?;
    Ok(ExitCode::SUCCESS)
}

impl Made {
    fn new(name: String, scope: Scope, key: &str) -> Made {
        let (scope, hash) = (scope.name(), KeyHash::of(key).to_string());
        Made {
            setting: format!("{name} = \"{scope} {hash}\""),
            line: format!("{name} {scope} {hash}"),
            key: key.to_owned(),
            name,
            scope,
            hash,
        }
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Made { key, setting, line, .. } = self;
        writeln!(f, "The key, which is shown only now:\n\n  {key}\n")?;
        writeln!(f, "For the settings of the serving layer:\n\n  [access.keys]\n  {setting}\n")?;
        writeln!(f, "Or, as a line of the file that access.keys_file names:\n\n  {line}")
    }
}

#[cfg(test)]
mod tests {
    use platform::settings::Settings;

    use super::*;

    #[test]
    fn what_is_printed_is_what_the_settings_take() {
        let key = api_key::random().expect("random");
        let made = Made::new("wall".to_owned(), Scope::Admin, &key);
        let folder = tempfile::tempdir().expect("a folder");
        let (settings, keys) = (folder.path().join("braid.toml"), folder.path().join("keys"));
        std::fs::write(&settings, format!("[access.keys]\n{}\n", made.setting)).expect("written");
        std::fs::write(&keys, format!("# keys\n{}\n", made.line)).expect("written");
        let of_settings = Settings::load(Some(&settings), std::iter::empty(), &[]).expect("settings");
        let named = [("access.keys_file".to_owned(), keys.display().to_string())];
        let of_file = Settings::load(None, std::iter::empty(), &named).expect("settings");
        for settings in [of_settings, of_file] {
            let granted = settings.access.granted().expect("a key");
            assert_eq!((granted.len(), granted[0].name.as_str(), granted[0].scope), (1, "wall", Scope::Admin));
            assert!(bool::from(granted[0].hash.is(&KeyHash::of(&key))));
        }
        assert_eq!(made.to_string().matches(&key).count(), 1);
    }
}
