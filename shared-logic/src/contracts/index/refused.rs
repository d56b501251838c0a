//! What the server refused for good (I3).

use serde::{Deserialize, Serialize};

use crate::catalog::Index;

/// With more refused documents than that, the lanes of a build stop reading: then not some documents are wrong, but the index is.
pub const REFUSED_MAX: u64 = 10_000;

/// A document that the server refused, until a later change of its id is taken, or it is sent again and taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The id of the document.
    pub id: String,
    /// The log of the change that leaves it; of a row that a build began with, that of its last change.
    pub log: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// The version that it was written with.
    pub version: u64,
    /// The document, as JSON text.
    pub document: String,
    /// What kind of error it is, a colon, and what the server said, which may quote values.
    pub reason: String,
    /// When, microseconds since 1970 by the clock of the process that wrote it.
    pub at_us: i64,
}

impl Refused {
    /// The kind of the error, and the field that the server names, without a word of the document: what may be shown to whom its values are
    /// not.
    pub fn in_short(&self, index: &Index) -> String {
        let is_kind = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        let (kind, words) =
            self.reason.split_once(": ").filter(|(kind, _)| is_kind(kind)).unwrap_or(("refused", self.reason.as_str()));
        let names = |name: &str| {
            ["field [", "field=\"", "field '"].iter().any(|before| {
                let after = words.split(before).nth(1).and_then(|rest| rest.strip_prefix(name));
                after.is_some_and(|rest| rest.starts_with([']', '"', '\'']))
            })
        };
        match index.fields.iter().find(|field| names(&field.name)) {
            Some(field) => format!("{kind}: field {}", field.name),
            None => kind.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{IndexField, IndexFrom, IndexKind};

    #[test]
    fn in_short_it_is_the_kind_and_the_field_and_no_value() {
        let field = |name: &str| IndexField { name: name.to_owned(), kind: IndexKind::Keyword };
        let index = Index {
            name: "users".to_owned(),
            from: IndexFrom::Table("users".to_owned()),
            id: "id".to_owned(),
            fields: vec![field("age"), field("agent")],
        };
        let short = |reason: &str| {
            let (id, log, document) = ("a".to_owned(), "log".to_owned(), "{}".to_owned());
            let reason = reason.to_owned();
            Refused { id, log, partition: 0, offset: 7, version: 8, document, reason, at_us: 0 }.in_short(&index)
        };
        let parsed = "failed to parse field [agent] of type [integer] in document with id 'a'. Preview of field's value: 'secret'";
        assert_eq!(short(&format!("mapper_parsing_exception: {parsed}")), "mapper_parsing_exception: field agent");
        let immense =
            "Document contains at least one immense term in field=\"age\" (…), the prefix is: '[115, 101]...'";
        assert_eq!(short(&format!("illegal_argument_exception: {immense}")), "illegal_argument_exception: field age");
        assert_eq!(short("id_too_long: an id has at most 512 bytes"), "id_too_long");
        assert_eq!(short("some_exception: of [secret], field [secret]"), "some_exception", "only fields of the index");
        assert_eq!(short("failed to parse: secret"), "refused");
        assert_eq!(short("secret"), "refused", "it names no kind");
    }
}
