//! The section `[access]`: who may ask the serving layer, and how much.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::bounds::at_least_one;
use super::{Properties, SettingsError};
use crate::api_key::{KeyHash, Scope};

/// The longest name of a key.
const NAME_MAX: usize = 64;

/// Who may ask the serving layer, and how much.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Access {
    /// Whether the serving layer may listen where other machines reach it although it asks for no key. Default `false`.
    pub insecure: bool,
    /// By name, the scope of a key and its hash, as `braid key new` prints them: `read sha256:…`. With a key here or in
    /// `access.keys_file`, every request needs one, except for `/healthz` and `/readyz`. By default there is none.
    pub keys: Properties,
    /// A file of further keys, one a line: name, scope and hash, separated by spaces. Lines that begin with `#` are skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys_file: Option<PathBuf>,
    /// How many requests a second each key may make in the long run. Default 100.
    pub requests_per_second: u32,
    /// How many requests a key may make at once after a rest. Default 400.
    pub burst: u32,
}

impl Default for Access {
    fn default() -> Access {
        Access { insecure: false, keys: Properties::default(), keys_file: None, requests_per_second: 100, burst: 400 }
    }
}

/// A key that may be used: what it is called, what its holder may do, and its hash.
#[derive(Debug, Clone)]
pub struct GrantedKey {
    /// Its name.
    pub name: String,
    /// What its holder may do.
    pub scope: Scope,
    /// Its hash.
    pub hash: KeyHash,
}

impl Access {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        at_least_one("access.requests_per_second", u64::from(self.requests_per_second))?;
        at_least_one("access.burst", u64::from(self.burst))?;
        self.inline_keys().map(drop)
    }

    /// All keys, of the settings and of the file.
    ///
    /// # Errors
    /// If the file cannot be read or holds no key, if a line of it is wrong, or if two keys have one name or one hash. What stands in place
    /// of a hash is never repeated, as it may be a key.
    pub fn granted(&self) -> Result<Vec<GrantedKey>, SettingsError> {
        let mut granted: BTreeMap<String, GrantedKey> = BTreeMap::new();
        let of_file = self.keys_file.as_deref().map(keys_of_file).transpose()?.unwrap_or_default();
        let inline = self.inline_keys()?.into_iter().map(|key| (format!("access.keys.{}", key.name), key));
        for (origin, key) in inline.chain(of_file) {
            if granted.contains_key(&key.name) {
                return Err(wrong(
                    &origin,
                    format!("there is already a key named {}: give each its own name", key.name),
                ));
            }
            if let Some(known) = granted.values().find(|known| bool::from(known.hash.is(&key.hash))) {
                return Err(wrong(&origin, format!("it is the key that is named {}, too: leave one out", known.name)));
            }
            granted.insert(key.name.clone(), key);
        }
        Ok(granted.into_values().collect())
    }

    /// Whether a server that asks these keys may listen there: it asks for a key, only this machine reaches it, or the operator has said
    /// that this is right.
    pub fn may_listen(&self, address: SocketAddr, keys: &[GrantedKey]) -> bool {
        self.insecure || !keys.is_empty() || address.ip().to_canonical().is_loopback()
    }

    fn inline_keys(&self) -> Result<Vec<GrantedKey>, SettingsError> {
        let key = |(name, text): (&str, &str)| key(&format!("access.keys.{name}"), name, text);
        self.keys.iter().map(key).collect()
    }
}

/// The keys of a file, each with its place.
fn keys_of_file(path: &Path) -> Result<Vec<(String, GrantedKey)>, SettingsError> {
    let read = std::fs::read_to_string(path);
    let text = read.map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
    let lines = text.lines().enumerate().map(|(n, line)| (n + 1, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let keys: Vec<_> = lines
        .map(|(n, line)| {
            let origin = format!("access.keys_file, line {n} of {}", path.display());
            let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            // Of a line with one word, that word may be a key.
            let name = if rest.is_empty() { "" } else { name };
            key(&origin, name, rest.trim()).map(|key| (origin, key))
        })
        .collect::<Result<_, _>>()?;
    if keys.is_empty() {
        let reason = "it holds no key; `braid key new` makes one, or leave access.keys_file out".to_owned();
        return Err(wrong(&format!("access.keys_file {}", path.display()), reason));
    }
    Ok(keys)
}

/// Reads scope and hash.
fn key(origin: &str, name: &str, text: &str) -> Result<GrantedKey, SettingsError> {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(is_name) {
        let reason =
            format!("a key is a name of at most {NAME_MAX} letters, digits, `.`, `_` and `-`, a scope and a hash");
        return Err(wrong(origin, format!("{reason}, as `braid key new` prints them")));
    }
    let (scope, hash) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let read = scope.parse().and_then(|scope| Ok((scope, hash.trim().parse()?)));
    let (scope, hash) =
        read.map_err(|reason: String| wrong(origin, format!("{reason}; `braid key new` prints what belongs here")))?;
    Ok(GrantedKey { name: name.to_owned(), scope, hash })
}

fn wrong(origin: &str, reason: String) -> SettingsError {
    SettingsError::Value { origin: origin.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::api_key;

    fn access(keys: &[(&str, String)]) -> Access {
        Access { keys: keys.iter().map(|(name, text)| (*name, text.clone())).collect(), ..Access::default() }
    }

    fn line(scope: &str, key: &str) -> String {
        format!("{scope} {}", KeyHash::of(key))
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(text.as_bytes()).expect("written");
        file
    }

    #[test]
    fn keys_come_from_settings_and_file() {
        let file = file(&format!("# of the dashboards\n\n  wall   {}\r\n", line("read", "b")));
        let access = Access { keys_file: Some(file.path().to_owned()), ..access(&[("ops", line("admin", "a"))]) };
        let granted = access.granted().expect("read");
        let named: Vec<_> = granted.iter().map(|key| (key.name.as_str(), key.scope)).collect();
        assert_eq!(named, [("ops", Scope::Admin), ("wall", Scope::Read)]);
        assert!(bool::from(granted[1].hash.is(&KeyHash::of("b"))));
        let printed = format!("{access:?}{}{granted:?}", toml::to_string(&access).expect("written"));
        assert!(!printed.contains(&KeyHash::of("a").to_string()), "{printed}");
    }

    #[test]
    fn what_is_wrong_is_named_and_never_repeated() {
        let key = &api_key::random().expect("random");
        for (text, word) in [
            (key.clone(), "a scope is read or admin"),
            (format!("read {key}"), "a hash is sha256:"),
            (line("write", "a"), "a scope is read or admin"),
        ] {
            let error = access(&[("ops", text)]).check().expect_err("refused").to_string();
            assert!(error.starts_with("access.keys.ops: ") && error.contains(word) && !error.contains(key), "{error}");
        }
        for (text, word) in [
            (format!("{key}\n"), "line 1"),
            (format!("\nops {key}\n"), "line 2"),
            ("# nothing\n".to_owned(), "holds no key"),
            (format!("a {}\nb {}\n", line("read", "x"), line("admin", "x")), "named a, too"),
            (format!("ops {}\n", line("read", "x")), "already a key named ops"),
        ] {
            let file = file(&text);
            let access = Access { keys_file: Some(file.path().to_owned()), ..access(&[("ops", line("read", "a"))]) };
            let error = access.granted().expect_err("refused").to_string();
            assert!(error.contains(word) && !error.contains(key), "{error}");
        }
        let gone = Access { keys_file: Some("/nowhere/keys".into()), ..Access::default() };
        assert!(gone.granted().expect_err("refused").to_string().contains("/nowhere/keys"));
    }

    #[test]
    fn without_keys_only_this_machine_is_listened_to_unless_that_is_said_to_be_right() {
        let keys = access(&[("ops", line("read", "a"))]).granted().expect("read");
        let address = |text: &str| text.parse().expect("an address");
        for (text, is_loopback) in [
            ("127.0.0.1:80", true),
            ("127.9.0.1:80", true),
            ("[::1]:80", true),
            ("[::ffff:127.0.0.1]:80", true),
            ("0.0.0.0:80", false),
            ("[::]:80", false),
            ("10.0.0.1:80", false),
        ] {
            let access = Access::default();
            assert_eq!(access.may_listen(address(text), &[]), is_loopback, "{text}");
            assert!(access.may_listen(address(text), &keys), "{text}");
            assert!(Access { insecure: true, ..access }.may_listen(address(text), &[]), "{text}");
        }
    }
}
