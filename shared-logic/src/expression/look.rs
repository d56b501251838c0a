//! Looks at the past: what the condition of a rule says of the events before one.

use super::Expression;
use crate::schema::FieldType;

/// A look at the earlier events of an event's key. In a condition it is a column.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// The column that stands for it: its canonical text, such as `history_avg(amount)` or `history_count('1m')`.
    pub column: String,
    /// What it says of those events.
    pub kind: LookKind,
    /// How far back it looks, in microseconds, not further than the history; `None`: as far as that.
    pub span_us: Option<i64>,
    /// The type of its value, which may be null whatever the type.
    pub of: FieldType,
}

/// What is said of the earlier events. Each expression is one of an event's fields.
#[derive(Debug, Clone, PartialEq)]
pub enum LookKind {
    /// The value for the latest of them; null if there is none.
    Previous(Expression),
    /// How many there are.
    Count,
    /// The sum of the values that are not null, an int or a float; of nothing it is 0.
    Sum(Expression),
    /// The mean of the values that are not null, a float; of nothing it is null.
    Avg(Expression),
    /// The smallest value; of nothing it is null.
    Min(Expression),
    /// The largest value; of nothing it is null.
    Max(Expression),
}
