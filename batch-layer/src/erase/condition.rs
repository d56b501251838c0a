//! Which events are erased.

use std::sync::Arc;

use polars::prelude::Expr;
use shared_logic::catalog::{OUTPUT_ID, Source};
use shared_logic::contracts::archive::Erasure;
use shared_logic::expression::{Expression, Scope};
use shared_logic::schema::{Field, FieldType};

use crate::archive_rows::erased::Places;

/// A condition on the events of a source, in the catalog's language; and, of invalid records, which have no fields, a text that they
/// hold.
#[derive(Debug, Clone)]
pub struct Condition {
    text: String,
    /// `None`: no event is selected by its fields.
    expression: Option<Expression>,
    id: String,
    /// The fields that it reads, and the event time.
    fields: Vec<Field>,
    event_time: String,
    invalid_with: Option<String>,
    /// Of the outputs of a map: where the records lie that caused those that are selected besides.
    made_of: Option<Arc<Places>>,
    is_of_outputs: bool,
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
        let (text, expression) = (text.to_owned(), Some(expression));
        Ok(Condition { text, id, fields, event_time, expression, invalid_with, made_of: None, is_of_outputs: false })
    }

    /// The same condition on a stream; `None` if that lacks fields of it.
    pub(super) fn on(&self, of_stream: &Source) -> Option<Condition> {
        Condition::parse(of_stream, &self.text, self.invalid_with()).ok()
    }

    /// What of a stream goes with what a condition selects of the source that it was made of: what `own` selects, if there is one. It has one
    /// id whatever that is, so that calling it again continues it.
    pub(super) fn of_outputs(of_stream: &Source, of_source: &Condition, own: Option<&Condition>) -> Condition {
        let nothing = || Condition {
            text: of_source.text.clone(),
            expression: None,
            id: String::new(),
            fields: of_stream.field(&of_stream.event_time).cloned().into_iter().collect(),
            event_time: of_stream.event_time.clone(),
            invalid_with: of_source.invalid_with.clone(),
            made_of: None,
            is_of_outputs: true,
        };
        let id = Erasure::id_of_outputs(&of_stream.name, &of_source.id);
        Condition { id, is_of_outputs: true, ..own.cloned().unwrap_or_else(nothing) }
    }

    /// The same, which also selects the outputs that were caused by records at these places.
    pub(super) fn or_made_of(mut self, of_stream: &Source, places: Arc<Places>) -> Condition {
        let is_read = self.fields.iter().any(|field| field.name == OUTPUT_ID);
        if let Some(field) = of_stream.field(OUTPUT_ID).filter(|_| !is_read) {
            self.fields.push(field.clone());
        }
        Condition { made_of: Some(places), ..self }
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

    /// The condition for rows whose columns have the fields' names; `None`: it selects none.
    pub(super) fn to_polars(&self) -> Option<Expr> {
        self.expression.as_ref().map(Expression::to_polars)
    }

    /// Where the records lie that caused outputs which are selected besides.
    pub(super) fn made_of(&self) -> Option<&Arc<Places>> {
        self.made_of.as_ref()
    }

    /// The names of the fields on which it depends.
    pub(super) fn columns(&self) -> Vec<String> {
        self.expression.iter().flat_map(Expression::columns).map(str::to_owned).collect()
    }

    /// Whether it is about what a stream has made of the source that is erased.
    pub(super) fn is_of_outputs(&self) -> bool {
        self.is_of_outputs
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
