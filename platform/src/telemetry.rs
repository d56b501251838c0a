//! Telemetry: log lines and counters about a process itself. The user's numbers are metrics of the catalog and never pass
//! through here.
//!
//! Any code counts with the macros of the crate `metrics`; [`render`] writes the counters for Prometheus. A name begins with
//! `braid_` and its part (`speed_`, `archive_`, `reconcile_`, `serving_`) and ends with its unit.

mod endpoint;
mod plain;
#[cfg(feature = "otel")]
mod traces;

use std::error::Error;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::settings;

pub use self::endpoint::listen;
use self::plain::Plain;

/// Upper bounds of the histograms' buckets, in seconds: from a script's round trip to a long reconcile.
const BUCKETS_SECONDS: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0];

/// How often samples are moved into the histograms, so that their memory is bounded even if nothing reads `/metrics`.
const UPKEEP: Duration = Duration::from_secs(5);

static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
static INIT: Mutex<()> = Mutex::new(());

/// Why telemetry could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The setting `telemetry.log` holds no directives that `tracing` understands.
    #[error("setting telemetry.log: cannot read {directives:?}: {reason}")]
    Directives {
        /// The setting's value.
        directives: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The address of `telemetry.listen` cannot be used.
    #[error("cannot listen on {address} (telemetry.listen)")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The setting `telemetry.traces` cannot be used.
    #[error("setting telemetry.traces: {reason}")]
    Traces {
        /// Why not.
        reason: String,
    },
    /// Another part of the process has already installed a log subscriber or a recorder.
    #[error("cannot install {what}: {reason}")]
    Install {
        /// What could not be installed.
        what: &'static str,
        /// The reason.
        reason: String,
    },
}

/// Libraries that log every step of reading a table are limited to warnings, and none is told of a table that is not there yet, which is for
/// its caller to judge. `telemetry.log` can override that.
const QUIET: &str = "buoyant_kernel=warn,buoyant_kernel::snapshot::builder=off,buoyant_kernel_engine=warn,deltalake=warn,deltalake_core=warn";

/// Starts logs (to standard error) and counters. Only the first call in a process has an effect.
///
/// # Errors
///
/// [`TelemetryError`]: invalid directives, or a subscriber or recorder that other code installed before.
pub fn init(settings: &settings::Telemetry) -> Result<(), TelemetryError> {
    let _one_at_a_time = INIT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if RECORDER.get().is_some() {
        return Ok(());
    }
    let filter = EnvFilter::try_new(format!("{QUIET},{}", settings.log))
        .map_err(|error| TelemetryError::Directives { directives: settings.log.clone(), reason: error.to_string() })?;
    let recorder = PrometheusBuilder::new()
        .set_buckets(&BUCKETS_SECONDS)
        .map_err(|error| TelemetryError::Install { what: "histogram buckets", reason: error.to_string() })?
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder)
        .map_err(|error| TelemetryError::Install { what: "the recorder of counters", reason: error.to_string() })?;
    match &settings.traces {
        Some(collector) => log_and_trace(settings, filter, collector)?,
        None => log(settings, filter)?,
    }
    keep_up(handle.clone())?;
    // The lock is held and the cell was empty, so this cannot find it filled.
    let _ = RECORDER.set(handle);
    Ok(())
}

/// Writes logs.
fn log(settings: &settings::Telemetry, filter: EnvFilter) -> Result<(), TelemetryError> {
    let filter: Box<dyn Layer<Registry> + Send + Sync> =
        if Plain::suffices(&settings.log) { Box::new(Plain::of(filter)) } else { Box::new(filter) };
    let (filtered, lines) = (tracing_subscriber::registry().with(filter), tracing_subscriber::fmt::layer());
    let lines = lines.with_writer(std::io::stderr);
    let installed = match settings.format {
        settings::LogFormat::Text => filtered.with(lines.with_ansi(std::io::stderr().is_terminal())).try_init(),
        settings::LogFormat::Json => filtered.with(lines.json().flatten_event(true)).try_init(),
    };
    installed.map_err(|error| TelemetryError::Install { what: "the log subscriber", reason: error.to_string() })
}

/// Writes logs, and tells a collector of spans, whatever is logged of them.
#[cfg(feature = "otel")]
fn log_and_trace(
    settings: &settings::Telemetry,
    filter: EnvFilter,
    collector: &settings::Secret,
) -> Result<(), TelemetryError> {
    use tracing_subscriber::filter::filter_fn;

    let traces = traces::Traces::to(collector.reveal())?.with_filter(filter_fn(traces::Traces::is_ours));
    let (both, lines) = (tracing_subscriber::registry().with(traces), tracing_subscriber::fmt::layer());
    let lines = lines.with_writer(std::io::stderr);
    let installed = match settings.format {
        settings::LogFormat::Text => {
            both.with(lines.with_ansi(std::io::stderr().is_terminal()).with_filter(filter)).try_init()
        }
        settings::LogFormat::Json => both.with(lines.json().flatten_event(true).with_filter(filter)).try_init(),
    };
    installed.map_err(|error| TelemetryError::Install { what: "the log subscriber", reason: error.to_string() })
}

#[cfg(not(feature = "otel"))]
fn log_and_trace(_: &settings::Telemetry, _: EnvFilter, _: &settings::Secret) -> Result<(), TelemetryError> {
    let reason = "this program was built without traces: build it with `--features otel`, or leave the setting out";
    Err(TelemetryError::Traces { reason: reason.to_owned() })
}

/// Everything counted so far in the Prometheus text format; empty before [`init`].
pub fn render() -> String {
    RECORDER.get().map(PrometheusHandle::render).unwrap_or_default()
}

/// Begins counters without labels at zero. A counter that appears only with what it counts has no rise that an alert could see.
pub fn begin(counters: &[&'static str]) {
    counters.iter().for_each(|name| metrics::counter!(*name).increment(0));
}

/// An error and its causes in one line, for the log.
pub fn error_text(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

fn keep_up(handle: PrometheusHandle) -> Result<(), TelemetryError> {
    let work = move || loop {
        std::thread::sleep(UPKEEP);
        handle.run_upkeep();
    };
    std::thread::Builder::new()
        .name("telemetry".to_owned())
        .spawn(work)
        .map(drop)
        .map_err(|error| TelemetryError::Install { what: "the telemetry thread", reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_rendered_and_a_second_start_changes_nothing() {
        let settings = settings::Telemetry::default();
        init(&settings).expect("starts");
        init(&settings).expect("starts again");
        metrics::counter!("braid_speed_records_total", "source" => "views").increment(3);
        metrics::histogram!("braid_speed_apply_seconds").record(0.004);
        let text = render();
        assert!(text.contains("braid_speed_records_total{source=\"views\"} 3"), "{text}");
        assert!(text.contains("braid_speed_apply_seconds_bucket{le=\"0.005\"} 1"), "{text}");
    }
}
