//! The function `count_order`: an order → a process of `batch-layer` that carries it out.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use datafusion::arrow::array::StringArray;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::cast::as_string_array;
use datafusion::common::utils::take_function_args;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use log::{info, warn};

/// Its name in plans.
pub(crate) const NAME: &str = "count_order";
/// How much of what a process says is repeated in an error, in bytes.
const SAID_MAX: usize = 2_000;

/// The program that carries out orders, with its arguments; `count ORDER` is put behind them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Worker {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
}

/// The function as clients and schedulers know it, who never run it (`None`), or as an executor does.
pub(crate) fn count_order(worker: Option<Worker>) -> ScalarUDF {
    // Volatile: whoever plans must not evaluate it.
    let signature = Signature::exact(vec![DataType::Utf8], Volatility::Volatile);
    ScalarUDF::new_from_impl(CountOrder { signature, worker })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CountOrder {
    signature: Signature,
    worker: Option<Worker>,
}

impl ScalarUDFImpl for CountOrder {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    /// Returns the orders, once they are carried out. Each takes the thread until then, of which an executor has one for each slot.
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let none = || DataFusionError::Internal("only executors carry out orders".to_owned());
        let worker = self.worker.as_ref().ok_or_else(none)?;
        let rows = args.number_rows;
        let [orders] = take_function_args(NAME, args.args)?;
        let orders = orders.into_array(rows)?;
        let mut carried_out = Vec::with_capacity(rows);
        for order in as_string_array(&orders)? {
            let order = order.unwrap_or_default();
            worker.carry_out(order)?;
            carried_out.push(order.to_owned());
        }
        Ok(ColumnarValue::Array(Arc::new(StringArray::from(carried_out))))
    }
}

impl Worker {
    /// Runs the program until it has carried out the order.
    fn carry_out(&self, order: &str) -> Result<()> {
        let program = self.program.display();
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).args(["count", "--attended", order]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let failed = |doing: &str, why: String| DataFusionError::Execution(format!("{doing} {program}: {why}"));
        let mut child = command.spawn().map_err(|error| failed("cannot run", error.to_string()))?;
        // The process ends when this end closes, which it does however this one ends.
        let attending = child.stdin.take();
        info!("order {order}: counting in process {}", child.id());
        let ended = child.wait_with_output().map_err(|error| failed("cannot wait for", error.to_string()))?;
        drop(attending);
        let said = String::from_utf8_lossy(&ended.stderr);
        if ended.status.success() {
            info!("order {order}: carried out");
            return Ok(());
        }
        warn!("order {order}: {}: {said}", ended.status);
        Err(failed("an order was not carried out by", format!("{}: {}", ended.status, end_of(&said))))
    }
}

/// The end of a text.
fn end_of(text: &str) -> &str {
    let from = text.len().saturating_sub(SAID_MAX);
    let from = (from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    text[from..].trim()
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{SessionContext, lit};

    use super::*;

    /// Lets a script carry out orders: `$1` is `count`, `$2` is `--attended`, `$3` is the order.
    fn shell(script: &str) -> Option<Worker> {
        let arguments = ["-c", script, "sh"].map(str::to_owned).to_vec();
        Some(Worker { program: PathBuf::from("/bin/sh"), arguments })
    }

    /// What a query that counts an order returns, as the client asks it, without a cluster.
    async fn counted(worker: Option<Worker>) -> Result<String> {
        let (context, function) = (SessionContext::new(), count_order(worker));
        let plan = context.read_empty()?.select(vec![function.call(vec![lit("v1/m/7")]).alias("counted")])?;
        let batches = plan.collect().await?;
        Ok(as_string_array(batches[0].column(0))?.value(0).to_owned())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_order_is_carried_out_by_a_process_that_is_told_which() {
        let order = counted(shell("[ \"$1 $2 $3\" = 'count --attended v1/m/7' ]")).await;
        assert_eq!(order.expect("carried out"), "v1/m/7");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_process_that_fails_says_why_and_one_that_is_not_there_is_named() {
        let failed = counted(shell("echo 'there is no order'; echo why >&2; exit 1")).await.expect_err("it failed");
        let text = failed.to_string();
        assert!(text.contains("/bin/sh") && text.contains("why") && !text.contains("there is no"), "{text}");
        let missing = Worker { program: PathBuf::from("/nowhere/batch-layer"), arguments: Vec::new() };
        let text = counted(Some(missing)).await.expect_err("it is not there").to_string();
        assert!(text.contains("/nowhere/batch-layer"), "{text}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn standard_input_stays_open_as_long_as_a_process_runs() {
        // `read` would end at once if it were closed.
        let waits = "read -t 1 line; [ $? -gt 128 ]";
        let worker = Worker { program: PathBuf::from("bash"), ..shell(waits).expect("a worker") };
        counted(Some(worker)).await.expect("it has timed out, and not found the end");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_only_plans_carries_out_nothing() {
        let text = counted(None).await.expect_err("there is no worker").to_string();
        assert!(text.contains("only executors"), "{text}");
    }

    #[test]
    fn only_the_end_of_a_long_text_is_repeated() {
        let text = "é".repeat(SAID_MAX) + " the reason\n";
        assert!(end_of(&text).ends_with("the reason") && end_of(&text).len() <= SAID_MAX);
        assert_eq!((end_of(" short "), end_of("")), ("short", ""));
    }
}
