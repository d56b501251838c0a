//! Schemas for which `document` puts those of the catalog in: whatever has names or types that the catalog declares.

use std::borrow::Cow;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// Declares schemas of objects, of which it depends on the catalog what members they have.
macro_rules! stand_ins {
    ($($(#[$doc:meta])* $name:ident => $text:expr;)+) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new().schema_type(Type::Object).description(Some($text)).into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
        }
    )+};
}

stand_ins! {
    /// Values of a metric by their names.
    Values =>
        "Measures, then derived values, in the order of the catalog. A value is null if there were no events (min, max, derived), or if it \
         overflowed. The number of different values (distinct) is an integer; the most frequent values (top) are a list. A distribution \
         (quantile) is left out: derived values say what is asked of it.";
    /// A group key of a metric.
    Key => "The columns of the group key that the request says something of; null for those that it asked for as missing.";
    /// An output of a stream.
    Output => "An output, as it was written.";
    /// A row of a table.
    Row => "The declared fields of a row.";
    /// A document of a search index.
    Document => "The fields of the index that the document has.";
    /// A row of a report.
    ReportColumns => "The columns of a row.";
}

/// The body of an answer that goes on.
pub(crate) struct EventText;

impl PartialSchema for EventText {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).description(Some("Server-sent events.")).into()
    }
}

impl ToSchema for EventText {}
