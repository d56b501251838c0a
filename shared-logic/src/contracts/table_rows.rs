//! The rows of a table in Redis (B3): per (log, partition) the last change of each key below a cursor, deletes too.
//!
//! All of it is one hash, `braid:{<name>/<generation>/<table>/<log>/<partition>}:rows`. So a command that reads its cursor and some rows reads
//! both as of one moment, and whoever deletes the key deletes everything.
//!
//! | field | holds |
//! |---|---|
//! | `format` | [`FORMAT`] |
//! | `cursor` | the first offset whose change is not there |
//! | `instance` | one life of the hash, from when it was filled |
//! | `basis` | what decides what a change is, and what a row; and how often events of the table were erased before: [`Basis`] |
//! | `witness` | the last record before the cursor (R12), if it is known |
//! | `filling` | instead of all that: the instance that is being filled, another one after each step, which nobody reads |
//! | `=<key>` | the last change of that key: [`HeldChange`] |
//!
//! A partition that has no such hash is *filled*: from the newest materialised table at its offset or, where nothing can be missing
//! there, from an empty one at the begin of the log. From then on changes are applied in the order of the log. Each step names what it
//! expects, and changes nothing otherwise. What a script that was interrupted or repeated leaves is therefore the same, or nothing.
//!
//! - `found`: what a lookup makes of the changes of several partitions (B1, B4);
//! - `script`: the texts that scripts and their callers exchange.
//!
//! What may happen to a hash is written twice, on purpose: here as pure functions ([`Slot`]), and as the scripts of the crate
//! `storage`, which do the same in Redis. Tests run both side by side.

mod found;
pub mod script;

pub use found::{LastChange, found, partitions};

use std::fmt;
use std::str::FromStr;

use super::speed_view::Instance;
use crate::catalog::{DefinitionHash, Deployment};
use crate::expression::Scalar;
use crate::log::{PartitionId, Position, Witness};
use crate::schema::Field;
use crate::stream::{encoding, row_scalar};
use crate::table::{Row, RowValue};

/// The layout that this code reads and writes.
pub const FORMAT: &str = "1";

/// What stands before a key in the name of its field.
const KEY_MARK: &str = "=";

/// The key of a hash of rows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowsKey(String);

impl RowsKey {
    /// The key of the rows of one partition of a table.
    pub fn new(deployment: &Deployment, table: &str, id: &PartitionId) -> RowsKey {
        let (name, generation) = (&deployment.name, deployment.table_generation(table));
        RowsKey(format!("braid:{{{name}/{generation}/{table}/{id}}}:rows"))
    }

    /// The key's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The field that holds the last change of a key.
pub fn field_of(key: &str) -> String {
    format!("{KEY_MARK}{key}")
}

/// What Redis holds of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slot {
    /// Nothing.
    Missing,
    /// Rows that are being filled in, which nobody reads; the instance names how far.
    Filling(Instance),
    /// Rows.
    Rows(Held),
}

/// As of when rows are, and what they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The first offset whose change is not among them.
    pub cursor: i64,
    /// Tells them from those of an earlier filling.
    pub instance: Instance,
    /// What they are made by.
    pub basis: Basis,
    /// R12: the last record before the cursor, if it is known.
    pub witness: Option<Witness>,
}

/// What rows are made by. Rows of another basis are filled again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basis {
    /// What decides what a change is, and what a row.
    pub definition: DefinitionHash,
    /// How many commits had taken erased changes out of the archive when they were filled. What was erased later may still be there.
    pub erasures: usize,
}

impl Basis {
    /// B3: whether rows of this basis may be read where so many commits have taken erased changes out of the archive: none came after they
    /// were filled. Otherwise they may hold what was erased.
    pub fn is_without_erased(&self, erasures: usize) -> bool {
        self.erasures >= erasures
    }
}

/// The text is not a [`Basis`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no basis <definition>.<erasures>")]
pub struct NotABasis(String);

/// `<definition>.<erasures>`.
impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.definition, self.erasures)
    }
}

impl FromStr for Basis {
    type Err = NotABasis;

    fn from_str(text: &str) -> Result<Basis, NotABasis> {
        let parts = || {
            let (definition, erasures) = text.split_once('.')?;
            Some(Basis { definition: definition.parse().ok()?, erasures: erasures.parse().ok()? })
        };
        parts().ok_or_else(|| NotABasis(text.to_owned()))
    }
}

impl Slot {
    /// The rows, if they can be read.
    pub fn rows(&self) -> Option<&Held> {
        if let Slot::Rows(held) = self { Some(held) } else { None }
    }

    /// Begins to fill anew; what was there goes. Rows have to be those of `expected`, so that a worker that was replaced takes
    /// nothing away from the one that replaced it. A filling of another worker ends here.
    ///
    /// # Errors
    /// What is there, which stays.
    pub fn begin(&self, expected: Option<Instance>, instance: Instance) -> Result<Slot, Slot> {
        match self {
            Slot::Rows(held) if Some(held.instance) != expected => Err(self.clone()),
            _ => Ok(Slot::Filling(instance)),
        }
    }

    /// Fills rows in, and names what is there anew: each step needs the one before. Where Redis has lost that, because it went back in
    /// time, the filling cannot go on.
    ///
    /// # Errors
    /// What is there, if it is not being filled as that instance.
    pub fn fill(&self, instance: Instance, next: Instance) -> Result<Slot, Slot> {
        if *self == Slot::Filling(instance) { Ok(Slot::Filling(next)) } else { Err(self.clone()) }
    }

    /// Ends a filling: from now on these are rows as of a cursor.
    ///
    /// # Errors
    /// What is there, if it is not being filled as that instance.
    pub fn open(&self, held: Held) -> Result<Slot, Slot> {
        if *self == Slot::Filling(held.instance) { Ok(Slot::Rows(held)) } else { Err(self.clone()) }
    }

    /// R2: writes the last changes of some keys, and moves the cursor.
    ///
    /// # Errors
    /// What is there, if it is not what is expected, or the cursor would fall.
    pub fn apply(&self, expected: &Held, to: Position) -> Result<Slot, Slot> {
        match self {
            Slot::Rows(held) if held == expected && to.offset >= held.cursor => {
                Ok(Slot::Rows(Held { cursor: to.offset, witness: to.witness, ..held.clone() }))
            }
            _ => Err(self.clone()),
        }
    }
}

/// The last change of a key in one partition.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldChange {
    /// The record's offset.
    pub offset: i64,
    /// Its timestamp, microseconds since 1970.
    pub timestamp_us: i64,
    /// The row from then on; `None`: it was deleted.
    pub row: Option<Row>,
}

/// Bytes that are no [`HeldChange`] of these fields.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes are no change of a table with these fields")]
pub struct NotAChange {
    bytes: usize,
}

impl HeldChange {
    /// As Redis keeps it: offset and timestamp, and then the values of the row, if there is one.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(&self.offset.to_be_bytes());
        bytes.extend_from_slice(&self.timestamp_us.to_be_bytes());
        bytes.push(u8::from(self.row.is_some()));
        for value in self.row.iter().flatten() {
            encoding::push(&mut bytes, &row_scalar(value.as_ref()));
        }
        bytes
    }

    /// Reads what [`HeldChange::to_bytes`] has written of a row with the fields of a table: all that the catalog declares, and then the
    /// one that every table has.
    ///
    /// # Errors
    /// If the bytes are no such change.
    pub fn parse(bytes: &[u8], fields: &[Field]) -> Result<HeldChange, NotAChange> {
        parse(bytes, fields).ok_or(NotAChange { bytes: bytes.len() })
    }
}

fn parse(bytes: &[u8], fields: &[Field]) -> Option<HeldChange> {
    let (offset, rest) = bytes.split_first_chunk()?;
    let (timestamp_us, rest) = rest.split_first_chunk()?;
    let (has_row, mut rest) = rest.split_first()?;
    let declared = fields.len().checked_sub(1)?;
    let row = match *has_row {
        0 => None,
        1 => {
            let values = fields[..declared].iter().map(|field| value(encoding::read(&mut rest, field.kind)?));
            Some(values.collect::<Option<Row>>()?)
        }
        _ => return None,
    };
    let (offset, timestamp_us) = (i64::from_be_bytes(*offset), i64::from_be_bytes(*timestamp_us));
    rest.is_empty().then_some(HeldChange { offset, timestamp_us, row })
}

/// The outer `None`: no row has such a value.
fn value(scalar: Scalar<'_>) -> Option<Option<RowValue>> {
    Some(match scalar {
        Scalar::Null => None,
        Scalar::String(text) => Some(RowValue::Text(text.into())),
        Scalar::Int(x) => Some(RowValue::Int(i64::try_from(x).ok()?)),
        Scalar::Float(x) => Some(RowValue::Float(x)),
        Scalar::Bool(x) => Some(RowValue::Bool(x)),
        Scalar::Timestamp(us) => Some(RowValue::Instant(us)),
        Scalar::Overflow => return None,
    })
}

#[cfg(test)]
mod tests;
