//! Parameters that several paths share. Those of a catalog's columns and fields stand as one parameter here, for which `document`
//! puts the catalog's own in.

use serde_json::{Value, json};
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

/// Stands for the columns of a metric's group key, each once, where at least one has to be left out.
pub(crate) const OTHER_COLUMNS: &str = "other columns";
/// Stands for all of them, each as often as it has to be.
pub(crate) const SEVERAL_COLUMNS: &str = "several columns";
/// Stands for the same, of which each has to be given.
pub(crate) const EVERY_COLUMN: &str = "every column";
/// Stands for the fields of a stream, or of a search index.
pub(crate) const FIELDS: &str = "fields";
/// All of these.
pub(crate) const STAND_INS: [&str; 4] = [OTHER_COLUMNS, SEVERAL_COLUMNS, EVERY_COLUMN, FIELDS];

/// Declares parameters under one name, for handlers to list.
macro_rules! parameters {
    ($($(#[$doc:meta])* $name:ident => [$($parameter:expr),+ $(,)?];)+) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl IntoParams for $name {
            fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
                vec![$($parameter),+]
            }
        }
    )+};
}

parameters! {
    /// The version of the deployment that is to answer.
    WhichVersion => [query(
        "version",
        "The version of the deployment that is to answer, among all that live. One that does not exist or is retired is answered with 404. \
         Default: the active version.",
        None,
    )];
    /// The metric, in the path.
    MetricName => [
        ParameterBuilder::new()
            .name("metric")
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some("A metric of the catalog."))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
            .build()
    ];
    /// The columns of a metric's group key where the values of another one are listed.
    OtherColumns => [stand_in(OTHER_COLUMNS)];
    /// The columns of a metric's group key. One that is repeated asks for several keys.
    SeveralColumns => [stand_in(SEVERAL_COLUMNS)];
    /// The columns of a group key, each of which has to be given.
    EveryColumn => [stand_in(EVERY_COLUMN)];
    /// The fields of a stream, or of a search index.
    Fields => [stand_in(FIELDS)];
    /// The range of an answer.
    Times => [
        query(
            "from",
            "The start of the range, included: RFC 3339, `now`, or a time before now such as `-24h`. It is rounded down to the grain, and no \
             further than to 0001-01-01T00:00:00Z. Default: the first event, or the first day that is not retired; `from` in the answer says \
             which. A range that names an earlier start has the gap `retired`.",
            Some(json!("-24h")),
        ),
        query(
            "to",
            "The end of the range, excluded, in the same forms. It must be after `from`, and is rounded up to the grain; at the end of time the \
             answer says 9999-12-31T23:59:59.999999Z. Default: the last event.",
            Some(json!("now")),
        ),
    ];
    /// How a series is divided.
    Steps => [
        query(
            "step",
            "The width of a point: a multiple of the metric's grain that divides a day or is a whole number of days, at most 366d, or a number of \
             months that divides a year, such as 1mo. Weeks begin on Mondays. Default: the grain.",
            Some(json!("1h")),
        ),
        query(
            "tz",
            "The zone by whose clocks days, weeks and months begin, a name of the IANA database: a day of 23 or 25 hours is one day. The grain has \
             to divide its offsets. Default: UTC.",
            Some(json!("UTC")),
        ),
        query(
            "window",
            "How much time each point covers, up to the end of its step: a multiple of `step`, at most 366d; not with months. Default: the step.",
            Some(json!("1d")),
        ),
    ];
    /// The answer that the client has.
    KnownAnswer => [
        ParameterBuilder::new()
            .name("If-None-Match")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some("The `etag` of an answer: one that is the same is answered with 304, without a body."))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
            .build()
    ];
    /// Whether an incomplete answer is refused.
    Require => [
        ParameterBuilder::new()
            .name("require")
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .description(Some(
                "With `complete`, an incomplete answer is replaced by a problem with status 503, Retry-After and the gaps.",
            ))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["complete"]))))
            .build()
    ];
}

/// A text in the query string that can be left out.
fn query(name: &str, description: &str, example: Option<Value>) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .example(example)
        .build()
}

/// A parameter for which those of the catalog are put in.
fn stand_in(name: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .schema(Some(ObjectBuilder::new()))
        .build()
}
