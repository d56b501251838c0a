//! What OpenAPI says of answers to `total`, to `series` and to several questions.

use utoipa::openapi::schema::{AllOfBuilder, AnyOfBuilder, ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::written::Answer;
use super::{keys, top};

/// An answer with a value per measure, for one key or for several.
pub(crate) struct Total;

/// An answer with a value per measure and step, for one key or for several.
pub(crate) struct Series;

/// Answers to several questions.
pub(crate) struct Answers;

impl PartialSchema for Total {
    fn schema() -> RefOr<Schema> {
        of_one_or_several("values")
    }
}

impl ToSchema for Total {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        of::<Answer<'_>>(schemas);
    }
}

impl PartialSchema for Series {
    fn schema() -> RefOr<Schema> {
        of_one_or_several("points")
    }
}

impl ToSchema for Series {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        of::<Answer<'_>>(schemas);
    }
}

impl PartialSchema for Answers {
    fn schema() -> RefOr<Schema> {
        let each = AnyOfBuilder::new()
            .item(Ref::from_schema_name(Total::name()))
            .item(Ref::from_schema_name(Series::name()))
            .item(Ref::from_schema_name(top::Body::name()))
            .item(Ref::from_schema_name(keys::Body::name()));
        let answers =
            ArrayBuilder::new().items(RefOr::<Schema>::from(each)).description(Some("In the order of the questions."));
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .property("version", ObjectBuilder::new().schema_type(Type::String))
            .required("version")
            .property("answers", answers)
            .required("answers")
            .into()
    }
}

impl ToSchema for Answers {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        of::<Total>(schemas);
        of::<Series>(schemas);
        of::<top::Body<'_>>(schemas);
        of::<keys::Body<'_>>(schemas);
    }
}

/// An answer that has `member` and a key, or a list of keys that do.
fn of_one_or_several(member: &str) -> RefOr<Schema> {
    let of_one = ObjectBuilder::new().required("key").required(member);
    let of_several = ObjectBuilder::new().required("keys");
    let either = AnyOfBuilder::new().item(of_one).item(of_several);
    AllOfBuilder::new().item(Ref::from_schema_name(Answer::name())).item(RefOr::<Schema>::from(either)).into()
}

/// A schema, and those that it refers to.
fn of<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}
