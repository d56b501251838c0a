//! The parameters of a report, read strictly: a day, and a value for each column of the group key.

use std::borrow::Cow;

use shared_logic::group_key::KeyPart;
use shared_logic::schema::Field;
use shared_logic::time::parse_day;

use crate::problem::Problem;
use crate::routes::column;
use crate::routes::parameters::Parameters;

/// The parameters besides the columns of the key.
const OTHERS: [&str; 2] = ["date", "require"];

/// What a request asks of a report.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    /// The day, in days since 1970 by the clocks of the report's zone.
    pub(super) day: i64,
    pub(super) key: Vec<KeyPart>,
    /// Of each column the text that was given: a long one is shortened in the key, and tables have it whole.
    pub(super) texts: Vec<Option<String>>,
    /// Whether an incomplete answer is refused.
    pub(super) require_complete: bool,
}

impl Asked {
    /// Reads the parameters. `fields` are the columns of the group key.
    ///
    /// # Errors
    /// If a parameter is missing or cannot be used; the problem names the first.
    pub(super) fn read(query: Option<&str>, fields: &[&Field]) -> Result<Asked, Problem> {
        let parameters = Parameters::read(query)?;
        let parts = fields.iter().map(|field| column::part(&parameters, field)).collect::<Result<Vec<_>, _>>()?;
        let columns = fields.iter().flat_map(|field| column::names(field));
        parameters.only(columns.chain(OTHERS.map(Cow::Borrowed)))?;
        for (field, part) in fields.iter().zip(&parts) {
            if *part == KeyPart::All {
                let name = &field.name;
                let detail = format!("{name} is missing: a row of the report is of one {name}, such as {name}=…");
                return Err(Problem::parameter(name, detail));
            }
        }
        let date = parameters.get("date");
        let wanted = "write the day as YYYY-MM-DD, such as date=2026-04-24";
        let date = date.ok_or_else(|| Problem::parameter("date", format!("date is missing: {wanted}")))?;
        let day = parse_day(date);
        let day = day.ok_or_else(|| Problem::parameter("date", format!("date={date} is no day: {wanted}")))?;
        let require_complete = match parameters.get("require") {
            None => false,
            Some("complete") => true,
            Some(other) => {
                let detail = format!("require={other} is not known: write require=complete, or leave it out");
                return Err(Problem::parameter("require", detail));
            }
        };
        let texts = fields.iter().map(|field| parameters.get(&field.name).map(str::to_owned)).collect();
        Ok(Asked { day, key: parts, texts, require_complete })
    }
}

#[cfg(test)]
mod tests {
    use shared_logic::group_key::KeyValue;
    use shared_logic::schema::FieldType;

    use super::*;

    fn read(query: &str) -> Result<Asked, Problem> {
        let (user, code) = (Field::new("user_id", FieldType::String, false), Field::new("code", FieldType::Int, true));
        Asked::read(Some(query), &[&user, &code])
    }

    #[test]
    fn a_day_and_each_column_of_the_key_have_to_be_named() {
        let asked = read("date=1970-01-02&user_id=u-7&code.missing=true").expect("readable");
        let key = vec![KeyPart::Value(KeyValue::Text("u-7".to_owned())), KeyPart::Missing];
        let texts = vec![Some("u-7".to_owned()), None];
        assert_eq!(asked, Asked { day: 1, key, texts, require_complete: false });
        assert!(read("date=1970-01-02&user_id=u-7&code=3&require=complete").expect("readable").require_complete);
        for (query, parameter, word) in [
            ("user_id=u&code=3", "date", "date=2026-04-24"),
            ("date=today&user_id=u&code=3", "date", "no day"),
            ("date=1970-01-02&code=3", "user_id", "user_id=…"),
            ("date=1970-01-02&user_id=u", "code", "missing"),
            ("date=1970-01-02&user_id=u&code=x", "code", "int"),
            (
                "date=1970-01-02&user_id=u&code=3&limit=1",
                "limit",
                "this path has user_id, code, code.missing, date, require",
            ),
            ("date=1970-01-02&user_id=u&code=3&require=all", "require", "require=complete"),
        ] {
            let problem = read(query).expect_err(query);
            assert_eq!(problem.parameter.as_deref(), Some(parameter), "{query}: {}", problem.detail);
            assert!(problem.detail.contains(word), "{query}: {}", problem.detail);
        }
    }
}
