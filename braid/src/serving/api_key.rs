//! The key that a command sends to the serving layer. It comes from a file or from the environment, never from a flag: every program of the
//! machine may read those.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use platform::settings::Secret;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};

/// The variable that holds a key.
const VARIABLE: &str = "BRAID_API_KEY";

/// The flag that names a key's file, to be flattened into a command's own flags.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct ApiKeyArgs {
    /// A file that holds the API key for the serving layer, if it asks for one [default: the key in BRAID_API_KEY, if that is set]
    #[arg(long, value_name = "FILE", env = "BRAID_API_KEY_FILE")]
    api_key_file: Option<PathBuf>,
}

impl ApiKeyArgs {
    /// What every request says of who asks: nothing without a key.
    ///
    /// # Errors
    /// If the file cannot be read, or what should be a key is none. No error repeats it.
    pub(super) fn headers(&self) -> Result<HeaderMap> {
        let variable = || std::env::var(VARIABLE).ok().filter(|key| !key.is_empty());
        let key = match &self.api_key_file {
            Some(path) => Some(of_file(path)?),
            None => variable().map(Secret::from),
        };
        key.map_or_else(|| Ok(HeaderMap::new()), |key| headers(&key, &self.origin()))
    }

    fn origin(&self) -> String {
        self.api_key_file.as_ref().map_or_else(|| VARIABLE.to_owned(), |path| path.display().to_string())
    }
}

fn of_file(path: &Path) -> Result<Secret> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read --api-key-file {}", path.display()))?;
    ensure!(
        !text.trim().is_empty(),
        "--api-key-file {} is empty: it holds the key that `braid key new` printed",
        path.display()
    );
    Ok(Secret::from(text))
}

fn headers(key: &Secret, origin: &str) -> Result<HeaderMap> {
    let key = key.reveal().trim();
    let is_plain = key.bytes().all(|byte| byte.is_ascii_graphic());
    ensure!(is_plain, "{origin} does not hold an API key: one is a single word, as `braid key new` prints it");
    let mut value = HeaderValue::from_str(&format!("Bearer {key}")).context("the key cannot be sent")?;
    // So that no log of the client shows it.
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<HeaderMap> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        std::fs::write(&path, text).expect("written");
        ApiKeyArgs { api_key_file: Some(path) }.headers()
    }

    #[test]
    fn a_key_is_sent_as_its_file_holds_it_and_never_shown() {
        let headers = file("braid_7\n").expect("a key");
        assert_eq!(headers[AUTHORIZATION], "Bearer braid_7");
        assert!(!format!("{headers:?}").contains("braid_7"));
        for (text, word) in [(" \n", "is empty"), ("braid_7\nbraid_8\n", "a single word"), ("kü", "a single word")] {
            let error = format!("{:#}", file(text).expect_err(text));
            assert!(error.contains(word) && !error.contains("braid_"), "{error}");
        }
        let gone = ApiKeyArgs { api_key_file: Some("/nowhere/key".into()) };
        assert!(gone.headers().expect_err("refused").to_string().contains("/nowhere/key"));
    }
}
