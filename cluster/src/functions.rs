//! The registered functions of expressions, as DataFusion calls them: the same code that other layers run, row by row.
//!
//! Client, scheduler and executors know them by name, so nothing of a function travels through the cluster. The name in a plan says of which
//! version of plans it is: where another build answers otherwise, it does not have the function, and the query fails.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StringArray};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use shared_logic::catalog::PLAN_VERSION;
use shared_logic::expression::Scalar;
use shared_logic::expression::functions::{IN_SQL, PureFunction, REGISTRY};
use shared_logic::schema::FieldType;

/// All of them: those that expressions call, and those that only SQL does.
pub(crate) fn all() -> Vec<Arc<ScalarUDF>> {
    let functions = REGISTRY.iter().chain(IN_SQL);
    functions.map(|function| Arc::new(ScalarUDF::new_from_impl(Registered::new(function)))).collect()
}

/// One of them.
#[derive(Debug)]
struct Registered {
    function: &'static PureFunction,
    /// As plans name it.
    name: String,
    /// As queries name it.
    aliases: [String; 1],
    signature: Signature,
}

impl Registered {
    fn new(function: &'static PureFunction) -> Registered {
        let takes = function.takes.iter().map(|kind| type_of(*kind)).collect();
        let (name, aliases) = (format!("{}_of_plan_{PLAN_VERSION}", function.name), [function.name.to_owned()]);
        Registered { function, name, aliases, signature: Signature::exact(takes, Volatility::Immutable) }
    }
}

/// Two functions are the same if they have one name.
impl PartialEq for Registered {
    fn eq(&self, other: &Self) -> bool {
        self.function == other.function
    }
}

impl Eq for Registered {}

impl Hash for Registered {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
    }
}

impl ScalarUDFImpl for Registered {
    fn name(&self) -> &str {
        &self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(type_of(self.function.gives))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_constant = args.args.iter().all(|of| matches!(of, ColumnarValue::Scalar(_)));
        // Constants come as arrays of one row, if there is nothing else.
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let values = self.of_rows(&arrays)?;
        if is_constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&values, 0)?));
        }
        Ok(ColumnarValue::Array(values))
    }
}

impl Registered {
    fn of_rows(&self, arguments: &[ArrayRef]) -> Result<ArrayRef> {
        let name = self.function.name;
        let columns = arguments.iter().zip(self.function.takes).map(|(array, kind)| Values::of(name, array, *kind));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let rows = arguments.first().map_or(0, |array| array.len());
        let mut row = Vec::with_capacity(columns.len());
        let values = (0..rows).map(|at| {
            row.clear();
            row.extend(columns.iter().map(|column| column.get(at)));
            (self.function.apply)(&row)
        });
        Ok(to_array(values, self.function.gives))
    }
}

/// The type of a column of such values. Instants are integers of microseconds.
pub(crate) fn type_of(kind: FieldType) -> DataType {
    match kind {
        FieldType::String => DataType::Utf8,
        FieldType::Int | FieldType::Timestamp => DataType::Int64,
        FieldType::Float => DataType::Float64,
        FieldType::Bool => DataType::Boolean,
    }
}

/// The values of an argument.
enum Values<'a> {
    Texts(&'a StringArray),
    Ints(&'a Int64Array),
    Instants(&'a Int64Array),
    Floats(&'a Float64Array),
    Bools(&'a BooleanArray),
}

impl<'a> Values<'a> {
    fn of(function: &str, array: &'a ArrayRef, kind: FieldType) -> Result<Values<'a>> {
        let values = match kind {
            FieldType::String => array.as_string_opt::<i32>().map(Values::Texts),
            FieldType::Int => array.as_primitive_opt::<Int64Type>().map(Values::Ints),
            FieldType::Timestamp => array.as_primitive_opt::<Int64Type>().map(Values::Instants),
            FieldType::Float => array.as_primitive_opt::<Float64Type>().map(Values::Floats),
            FieldType::Bool => array.as_boolean_opt().map(Values::Bools),
        };
        let other = || DataFusionError::Internal(format!("{function} takes no {}", array.data_type()));
        values.ok_or_else(other)
    }

    fn get(&self, row: usize) -> Scalar<'a> {
        match self {
            Values::Texts(of) if of.is_valid(row) => Scalar::String(of.value(row).into()),
            Values::Ints(of) if of.is_valid(row) => Scalar::Int(of.value(row).into()),
            Values::Instants(of) if of.is_valid(row) => Scalar::Timestamp(of.value(row)),
            // As wherever rows are evaluated, a float is finite, and a zero has no sign.
            Values::Floats(of) if of.is_valid(row) && of.value(row).is_finite() => Scalar::Float(of.value(row) + 0.0),
            Values::Bools(of) if of.is_valid(row) => Scalar::Bool(of.value(row)),
            _ => Scalar::Null,
        }
    }
}

/// A column of values of one type; a value of another type is null in it.
fn to_array<'a>(values: impl Iterator<Item = Scalar<'a>>, kind: FieldType) -> ArrayRef {
    match kind {
        FieldType::String => {
            let text = |value| if let Scalar::String(text) = value { Some(text) } else { None };
            Arc::new(values.map(text).collect::<StringArray>())
        }
        FieldType::Int | FieldType::Timestamp => {
            let int = |value| match value {
                Scalar::Int(x) => i64::try_from(x).ok(),
                Scalar::Timestamp(us) => Some(us),
                _ => None,
            };
            Arc::new(values.map(int).collect::<Int64Array>())
        }
        FieldType::Float => {
            let float = |value| if let Scalar::Float(x) = value { Some(x) } else { None };
            Arc::new(values.map(float).collect::<Float64Array>())
        }
        FieldType::Bool => {
            let truth = |value| if let Scalar::Bool(x) = value { Some(x) } else { None };
            Arc::new(values.map(truth).collect::<BooleanArray>())
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;

    use super::*;
    use crate::session;

    /// The only cell of what a query answers.
    async fn cell(sql: &str) -> ScalarValue {
        let context = SessionContext::new_with_state(session::planner(session::config(2)).expect("a session"));
        let batches = context.sql(sql).await.expect("planned").collect().await.expect("run");
        ScalarValue::try_from_array(batches[0].column(0), 0).expect("a cell")
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_function_can_be_called_with_nulls_of_its_types() {
        let context = SessionContext::new_with_state(session::planner(session::config(2)).expect("a session"));
        for function in REGISTRY.iter().chain(IN_SQL) {
            let null = |kind: &FieldType| format!("arrow_cast(NULL, '{}')", type_of(*kind));
            let nulls: Vec<String> = function.takes.iter().map(null).collect();
            let sql = format!("SELECT {}({})", function.name, nulls.join(", "));
            let batches = context.sql(&sql).await.expect("planned").collect().await.expect("run");
            assert_eq!(batches[0].column(0).data_type(), &type_of(function.gives), "{sql}");
        }
    }

    #[test]
    fn plans_name_a_function_with_its_version_and_queries_do_not() {
        for (function, known) in all().iter().zip(REGISTRY.iter().chain(IN_SQL)) {
            assert_eq!(function.name(), format!("{}_of_plan_{PLAN_VERSION}", known.name));
            assert_eq!(function.aliases(), [known.name]);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn rows_and_constants_have_the_values_of_the_function() {
        let rows = "SELECT url_path(t) FROM (VALUES ('https://a.example/b?c')) AS v(t)";
        assert_eq!(cell(rows).await, ScalarValue::Utf8(Some("/b".to_owned())));
        assert_eq!(cell("SELECT url_path('https://a.example/b?c')").await, ScalarValue::Utf8(Some("/b".to_owned())));
        let seconds = "SELECT seconds_between(CAST(0 AS BIGINT), CAST(2500000 AS BIGINT))";
        assert!(
            matches!(cell(seconds).await, ScalarValue::Float64(Some(x)) if x.abs() == 2.5),
            "{:?}",
            cell(seconds).await
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn logic_knows_what_is_unknown() {
        let of = |truth: &str| {
            format!("SELECT {truth} FROM (VALUES (CAST(NULL AS VARCHAR)), ('a')) AS v(t) ORDER BY t NULLS FIRST")
        };
        for truth in [
            "braid_not(braid_and(t IN ('a', 'b'), t IN ('c', 'd')))",
            "braid_or(braid_not(t IN ('a', 'b')), braid_not(t IN ('c', 'd')))",
        ] {
            assert_eq!(cell(&of(truth)).await, ScalarValue::Boolean(None), "{truth}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn floats_become_finite_and_zeros_lose_their_sign() {
        let of = |x: &str, operator: &str, y: &str| {
            format!("SELECT braid_finite(CAST({x} AS DOUBLE) {operator} CAST({y} AS DOUBLE))")
        };
        for x in ["1", "-1", "0"] {
            assert_eq!(cell(&of(x, "/", "0")).await, ScalarValue::Float64(None), "{x}");
        }
        // Zeros of both signs are equal, and their bits are not.
        let ScalarValue::Float64(Some(zero)) = cell(&of("0", "*", "-1")).await else { panic!("a zero is finite") };
        assert_eq!(zero.to_bits(), 0.0_f64.to_bits());
    }
}
