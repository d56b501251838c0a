//! How queries are planned and run: settings, functions and stores.

use ballista_core::config::{
    BALLISTA_SCHEDULER_MAX_PARTITIONS_PER_TASK, BALLISTA_SHUFFLE_SORT_BASED_MEMORY_LIMIT_PER_TASK_BYTES,
};
use ballista_core::extension::{
    SessionConfigExt, ballista_aggregate_functions, ballista_scalar_functions, ballista_window_functions,
};
use ballista_core::optimizer::ballista_default_optimizer_rules;
use ballista_core::registry::BallistaFunctionRegistry;
use datafusion::common::Result;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;

use crate::{functions, stores};

/// The largest message that passes between the processes of a cluster: a plan names each file. In bytes.
pub(crate) const MESSAGE_MAX: u32 = 64 << 20;
/// How much a task keeps of the rows that it sorts into partitions for other tasks, before it writes them to its disk. In bytes.
const SHUFFLED: usize = 64 << 20;
/// How deeply the text of a query may nest. Each level of an expression has several levels of its text.
const RECURSION_LIMIT: &str = "datafusion.sql_parser.recursion_limit";
const LEVELS_MAX: usize = 500;

/// The settings of a query, whose stages are divided into so many parts. They travel with it to the scheduler and to executors.
pub(crate) fn config(partitions: usize) -> SessionConfig {
    let mut config = SessionConfig::new_with_ballista()
        .with_target_partitions(partitions)
        // Statistics of files are in their footers. Executors read these anyway; the scheduler would read all of them before anything
        // begins.
        .with_collect_statistics(false)
        .with_parquet_pruning(true)
        .with_parquet_page_index_pruning(true)
        // Its gain is in joins, of which there are none.
        .with_ballista_adaptive_query_planner(false)
        .with_ballista_grpc_client_max_message_size(MESSAGE_MAX as usize)
        // A task is a part: it has the memory of one slot, and if it is lost, so little is done again.
        .set_usize(BALLISTA_SCHEDULER_MAX_PARTITIONS_PER_TASK, 1)
        .set_usize(BALLISTA_SHUFFLE_SORT_BASED_MEMORY_LIMIT_PER_TASK_BYTES, SHUFFLED)
        .set_usize(RECURSION_LIMIT, LEVELS_MAX);
    let parquet = &mut config.options_mut().execution.parquet;
    // Of rows that are not wanted, only what tells that is decoded.
    parquet.pushdown_filters = true;
    // Texts as other programs write them.
    parquet.schema_force_view_types = false;
    config
}

/// A session as the scheduler plans with it: it knows all functions, and finds all stores.
pub(crate) fn planner(config: SessionConfig) -> Result<SessionState> {
    let functions = ballista_scalar_functions().into_iter().chain(functions::all()).collect();
    Ok(SessionStateBuilder::new()
        .with_default_features()
        .with_config(config)
        .with_runtime_env(stores::runtime(None)?)
        .with_optimizer_rules(ballista_default_optimizer_rules())
        .with_scalar_functions(functions)
        .with_aggregate_functions(ballista_aggregate_functions())
        .with_window_functions(ballista_window_functions())
        .build())
}

/// A session as the client begins with it; Ballista changes it.
pub(crate) fn client(config: SessionConfig) -> Result<SessionState> {
    let runtime = stores::runtime(None)?;
    Ok(SessionStateBuilder::new().with_default_features().with_config(config).with_runtime_env(runtime).build())
}

/// What executors know of functions.
pub(crate) fn registry() -> BallistaFunctionRegistry {
    let mut registry = BallistaFunctionRegistry::default();
    let named = functions::all().into_iter().map(|function| (function.name().to_owned(), function));
    registry.scalar_functions.extend(named);
    registry
}

#[cfg(test)]
mod tests {
    use datafusion::config::Dialect;
    use datafusion::prelude::SessionContext;

    use super::*;

    #[test]
    fn schedulers_and_executors_know_every_function() {
        let planner = planner(config(2)).expect("a session");
        let registry = registry();
        for function in functions::all() {
            assert!(planner.scalar_functions().contains_key(function.name()), "{}", function.name());
            assert!(registry.scalar_functions.contains_key(function.name()), "{}", function.name());
        }
        assert!(registry.scalar_functions.contains_key("starts_with"), "and those of DataFusion");
    }

    #[test]
    fn settings_are_those_that_a_cluster_of_ballista_needs() {
        let config = config(7);
        assert_eq!(config.target_partitions(), 7);
        assert!(!config.round_robin_repartition() && !config.ballista_adaptive_query_planner_enabled());
        assert_eq!(config.ballista_config().max_partitions_per_task(), 1);
        assert!(!config.options().execution.parquet.schema_force_view_types);
        let deep = format!("SELECT {}1{}", "(".repeat(200), ")".repeat(200));
        let context = SessionContext::new_with_state(planner(config).expect("a session"));
        assert!(context.state().sql_to_statement(&deep, &Dialect::Generic).is_ok());
    }
}
