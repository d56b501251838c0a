//! What requests say that are about many keys: the columns that they give, and those that they list.

use std::borrow::Cow;

use shared_logic::catalog::{Catalog, Metric};
use shared_logic::group_key::{ColumnPattern, GroupKey, KeyPart, KeyValue};
use shared_logic::schema::{Field, FieldType};

use crate::answer::AskedKeys;
use crate::problem::Problem;
use crate::routes::column;
use crate::routes::parameters::Parameters;

/// The columns of a metric, and what a request says of each.
pub(super) struct Columns<'a> {
    metric: &'a Metric,
    fields: Vec<&'a Field>,
    parts: Vec<KeyPart>,
}

impl<'a> Columns<'a> {
    /// Reads the columns; `others` are the parameters that are none.
    ///
    /// # Errors
    /// If a parameter cannot be used, or the request leaves no column to be listed.
    pub(super) fn read(
        parameters: &Parameters,
        catalog: &'a Catalog,
        metric: &'a Metric,
        others: &[&str],
    ) -> Result<Columns<'a>, Problem> {
        let source = &catalog.sources[&metric.source];
        let fields: Vec<&Field> = metric.by.iter().filter_map(|name| source.field(name)).collect();
        let parts = fields.iter().map(|field| column::part(parameters, field)).collect::<Result<Vec<_>, _>>()?;
        let names = fields.iter().flat_map(|field| column::names(field));
        parameters.only(names.chain(others.iter().map(|other| Cow::Borrowed(*other))))?;
        let columns = Columns { metric, fields, parts };
        match columns.not_given().first() {
            Some(_) => Ok(columns),
            None if metric.by.is_empty() => {
                let detail =
                    format!("the metric {} groups by no column, so it has no keys; ask for its total", metric.name);
                Err(Problem::parameter("by", detail))
            }
            None => {
                let detail =
                    "every column of the metric is given, so no key is left to be listed: leave one out".to_owned();
                Err(Problem::parameter("by", detail))
            }
        }
    }

    /// The numbers of the columns that the request does not give.
    pub(super) fn not_given(&self) -> Vec<usize> {
        (0..self.parts.len()).filter(|at| self.parts[*at] == KeyPart::All).collect()
    }

    /// The numbers of the columns that `by` names, in the order of the metric's.
    ///
    /// # Errors
    /// If a name is none of a column, is repeated, or the request gives the column as well.
    pub(super) fn named<'b>(&self, names: impl Iterator<Item = &'b str>) -> Result<Vec<usize>, Problem> {
        let mut named = Vec::new();
        for name in names {
            let Some(at) = self.metric.by.iter().position(|known| known == name) else {
                let known = self.metric.by.join(", ");
                let detail = format!("by={name} is no column of the metric {}: write one of {known}", self.metric.name);
                return Err(Problem::parameter("by", detail));
            };
            if named.contains(&at) {
                return Err(Problem::parameter("by", format!("by names {name} twice: name it once")));
            }
            if self.parts[at] != KeyPart::All {
                let detail = format!("{name} is given, and by={name} lists its values: leave one of them out");
                return Err(Problem::parameter("by", detail));
            }
            named.push(at);
        }
        named.sort_unstable();
        Ok(named)
    }

    /// The keys of these columns, as the others are given.
    pub(super) fn asked(&self, by: &[usize], bounds: (Option<i64>, Option<i64>)) -> AskedKeys {
        let pattern = |(at, part): (usize, &KeyPart)| match part {
            _ if by.contains(&at) => ColumnPattern::Any,
            part => ColumnPattern::Is(part.clone()),
        };
        let columns = self.parts.iter().enumerate().map(pattern).collect();
        AskedKeys { columns, after: None, bounds }
    }

    /// The type of a column.
    pub(super) fn kind(&self, column: usize) -> FieldType {
        self.fields[column].kind
    }

    /// The text of the key that says this of a column, and of the others what the request says.
    ///
    /// # Errors
    /// If the text is no value of the column.
    pub(super) fn key_with(&self, column: usize, parameter: &str, text: &str) -> Result<String, Problem> {
        let kind = self.kind(column);
        let value = KeyValue::parse(kind, text).ok_or_else(|| {
            let detail = format!("{parameter}={text} is no {} such as {} holds", kind.name(), self.metric.by[column]);
            Problem::parameter(parameter, detail)
        })?;
        let mut parts = self.parts.clone();
        parts[column] = KeyPart::Value(value);
        Ok(GroupKey::new(&parts).as_str().to_owned())
    }
}
