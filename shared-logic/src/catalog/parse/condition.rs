//! Reads conditions over the fields of a source, and reports why an expression is refused.

use super::document::{Table, Text};
use super::source::Draft;
use crate::expression::{Expression, Refused, Scope};
use crate::schema::FieldType;

/// The condition that `where` holds.
pub(super) fn filter(table: &mut Table<'_>, draft: Option<&Draft>) -> Option<Expression> {
    let text = table.text("where")?;
    let draft = draft?;
    let read = Expression::parse(text.value, &Scope::of_fields(&draft.source.fields));
    let condition = accepted(table, text, "`where`", read, draft.doubtful)?;
    is_condition(table, text, "`where`", &condition).then_some(condition)
}

/// What was read; `None`, and reported, if the text was refused. It is not reported where it may only contradict declarations that
/// are wrong themselves.
pub(super) fn accepted<T>(
    table: &Table<'_>,
    text: Text<'_>,
    place: &str,
    read: Result<T, Refused>,
    doubtful: bool,
) -> Option<T> {
    match read {
        Ok(read) => Some(read),
        Err(refused) => {
            if !doubtful {
                table.mistakes.report(text.at, format!("{place}: {}", refused.what), refused.fix);
            }
            None
        }
    }
}

/// Whether an expression is true or false; reported if it is something else.
pub(super) fn is_condition(table: &Table<'_>, text: Text<'_>, place: &str, expression: &Expression) -> bool {
    let is_condition = expression.kind() == FieldType::Bool;
    if !is_condition {
        let what = format!("{place} is {}, not a condition: `{}`", expression.kind().name(), text.value);
        table.mistakes.report(text.at, what, "write a comparison, such as `status = 200`");
    }
    is_condition
}
