//! How much is measured.

use std::error::Error;
use std::str::FromStr;

use anyhow::{Context, Result};

/// What that environment variable says, or else the usual amount.
pub(crate) fn amount<T>(variable: &str, usual: T) -> Result<T>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    match std::env::var(variable) {
        Ok(amount) => amount.parse().with_context(|| format!("{variable} is a number")),
        Err(_) => Ok(usual),
    }
}
