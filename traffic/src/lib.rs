//! Made-up records of any source, and the counts that they must give.
//!
//! The same source, mix, seed and moments give the same records, byte for byte. Nothing here does I/O or knows a clock: the
//! caller decides when to send which record, and where.
//!
//! - [`Mix`]: the shares of fresh, late, repeated and broken records; a table's are rows and deletes instead;
//! - [`Generator`]: the endless stream of records;
//! - `rows`: plausible values for the declared fields, some of them popular;
//! - `fraud`: frauds among payments, and the alerts that they must cause;
//! - [`Cell`]: one value of a row;
//! - `payload`: a row → the bytes of a record;
//! - `broken`: a valid row → a payload that must be rejected, for every reason there is;
//! - [`Expected`]: the counts that the platform has to answer, counted naively row by row.

mod broken;
mod cell;
mod expected;
mod fraud;
mod generator;
mod mix;
mod payload;
mod rows;
#[cfg(test)]
mod tests;

pub use cell::{Cell, Row};
pub use expected::Expected;
pub use generator::{Generator, Kind, Sample, Tally};
pub use mix::{Mix, MixError};
