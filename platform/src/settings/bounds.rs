//! Checks that several sections make: a value that is well formed can still make a bound meaningless.

use super::{SettingsError, Size, Span};

pub(super) fn at_least_one(key: &'static str, value: u64) -> Result<(), SettingsError> {
    if value == 0 { Err(SettingsError::invalid(key, "must be at least 1")) } else { Ok(()) }
}

pub(super) fn not_zero(key: &'static str, span: Span) -> Result<(), SettingsError> {
    if span.get().is_zero() { Err(SettingsError::invalid(key, "must be longer than zero")) } else { Ok(()) }
}

pub(super) fn at_least_one_kibibyte(key: &'static str, size: Size) -> Result<(), SettingsError> {
    if size.kib() == 0 { Err(SettingsError::invalid(key, "must be at least 1KiB")) } else { Ok(()) }
}
