//! Which events are erased.

use polars::prelude::Expr;
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::Erasure;
use shared_logic::expression::{Expression, Scope};
use shared_logic::schema::{Field, FieldType};

/// A condition on the events of a source, in the catalog's language; and, of invalid records, which have no fields, a text that they
/// hold.
#[derive(Debug, Clone)]
pub struct Condition {
    text: String,
    expression: Expression,
    id: String,
    /// The fields that it reads, and the event time.
    fields: Vec<Field>,
    event_time: String,
    invalid_with: Option<String>,
}

/// Why a text is no condition on a source's events.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotACondition {
    /// It is not an expression over the source's fields.
    #[error("--where: {what}; {fix}")]
    Refused {
        /// What is wrong.
        what: String,
        /// What to do about it.
        fix: String,
    },
    /// It is an expression, and not one that holds or does not.
    #[error("--where is {kind}, not a condition; write a comparison, such as user_id = 'u-7'")]
    NotBoolean {
        /// The type of its values.
        kind: &'static str,
    },
    /// Every invalid record holds it.
    #[error(
        "--invalid-with is empty, so that every invalid record would be erased; write a text that only some of them hold"
    )]
    EmptyText,
}

impl Condition {
    /// Reads a condition. It selects events, and invalid records whose key, payload or headers hold the text `invalid_with`.
    ///
    /// # Errors
    /// The first mistake, and what to write instead.
    pub fn parse(source: &Source, text: &str, invalid_with: Option<&str>) -> Result<Condition, NotACondition> {
        if invalid_with.is_some_and(str::is_empty) {
            return Err(NotACondition::EmptyText);
        }
        let expression = Expression::parse(text, &Scope::of_fields(&source.fields))
            .map_err(|refused| NotACondition::Refused { what: refused.what, fix: refused.fix })?;
        if expression.kind() != FieldType::Bool {
            return Err(NotACondition::NotBoolean { kind: expression.kind().name() });
        }
        let columns = expression.columns();
        let is_read = |field: &&Field| columns.contains(field.name.as_str()) || field.name == source.event_time;
        let fields = source.fields.iter().filter(is_read).cloned().collect();
        let id = Erasure::id_of(&source.name, &expression, invalid_with);
        let (event_time, invalid_with) = (source.event_time.clone(), invalid_with.map(str::to_owned));
        Ok(Condition { text: text.to_owned(), id, fields, event_time, expression, invalid_with })
    }

    /// What stands for it in the archive's facts.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The condition as it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The fields that it reads, and the event time.
    pub(super) fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The field of the event time.
    pub(super) fn event_time(&self) -> &str {
        &self.event_time
    }

    /// What selected invalid records hold in their key, payload or headers.
    pub(super) fn invalid_with(&self) -> Option<&str> {
        self.invalid_with.as_deref()
    }

    /// The condition for rows whose columns have the fields' names.
    pub(super) fn to_polars(&self) -> Expr {
        self.expression.to_polars()
    }
}

#[cfg(test)]
mod tests {
    use shared_logic::catalog::Catalog;

    use super::*;

    const CATALOG: &str = r#"
[sources.s]
event_time = "at"
[sources.s.fields]
at = "timestamp"
user_id = "string"
n = "int?"
"#;

    #[test]
    fn a_mistake_is_said_with_its_fix() {
        let catalog = Catalog::parse(CATALOG).expect("a valid catalog");
        let parse = |text: &str| Condition::parse(&catalog.sources["s"], text, None);
        let wrong = |text: &str| parse(text).expect_err(text).to_string();
        assert!(wrong("usr_id = 'u-7'").contains("user_id"), "{}", wrong("usr_id = 'u-7'"));
        assert!(wrong("n + 1").contains("not a condition"), "{}", wrong("n + 1"));
        assert!(wrong("count() > 1").starts_with("--where: "), "{}", wrong("count() > 1"));
        assert!(parse("user_id = ").is_err());
        let condition = parse("user_id = 'u-7' and n > 1").expect("a condition");
        let names: Vec<&str> = condition.fields().iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names, ["at", "user_id", "n"]);
        let with = |text| Condition::parse(&catalog.sources["s"], "user_id = 'u-7'", Some(text));
        assert_eq!(with("").expect_err("empty"), NotACondition::EmptyText);
        assert_ne!(with("u-7").expect("a condition").id(), parse("user_id = 'u-7'").expect("a condition").id());
    }
}
