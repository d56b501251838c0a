//! Checks that several sections make: a value that is well formed can still make a bound meaningless.

use super::{SettingsError, Span};

pub(super) fn at_least_one(key: &'static str, value: u64) -> Result<(), SettingsError> {
    if value == 0 { Err(SettingsError::invalid(key, "must be at least 1")) } else { Ok(()) }
}

pub(super) fn not_zero(key: &'static str, span: Span) -> Result<(), SettingsError> {
    if span.get().is_zero() { Err(SettingsError::invalid(key, "must be longer than zero")) } else { Ok(()) }
}
