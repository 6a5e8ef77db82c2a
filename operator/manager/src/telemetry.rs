//! Logs and metrics. Both carry counts, reasons and names of our own resources; never anything from a source system.

use prometheus::core::Collector;
use prometheus::{Encoder, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};
use tracing_subscriber::EnvFilter;

/// JSON lines on stderr, at `info` unless `RUST_LOG` says otherwise.
pub fn init_logs() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .with_current_span(false)
        .with_span_list(false)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}

/// The manager's metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// Scans that ended, by outcome and reason.
    pub scans: IntCounterVec,
    /// Scans that were ordered, by trigger.
    pub scans_ordered: IntCounterVec,
    /// Scans under way.
    pub scans_active: IntGauge,
    /// Scans that are due and wait for a place.
    pub scans_due: IntGauge,
    /// Evaluations that ended, by outcome and reason.
    pub evaluations: IntCounterVec,
    /// Evaluations that were ordered, by cause.
    pub evaluations_ordered: IntCounterVec,
    /// Reconciliations that failed, by kind and cause.
    pub reconcile_errors: IntCounterVec,
    /// 1 while this process holds the lease.
    pub leader: IntGauge,
}

impl Metrics {
    /// Registers every metric.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        Ok(Self {
            scans: counter(&registry, "scans_total", "Scans that ended.", &["outcome", "reason"])?,
            scans_ordered: counter(&registry, "scans_ordered_total", "Scans that were ordered.", &["trigger"])?,
            scans_active: gauge(&registry, "scans_active", "Scans under way.")?,
            scans_due: gauge(&registry, "scans_due", "Scans that wait for a place.")?,
            evaluations: counter(&registry, "evaluations_total", "Evaluations that ended.", &["outcome", "reason"])?,
            evaluations_ordered: counter(
                &registry,
                "evaluations_ordered_total",
                "Evaluations that were ordered.",
                &["cause"],
            )?,
            reconcile_errors: counter(
                &registry,
                "reconcile_errors_total",
                "Reconciliations that failed.",
                &["kind", "cause"],
            )?,
            leader: gauge(&registry, "leader", "1 while this process holds the lease.")?,
            registry,
        })
    }

    /// All metrics in the text format.
    pub fn render(&self) -> String {
        let mut buffer = Vec::new();
        match TextEncoder::new().encode(&self.registry.gather(), &mut buffer) {
            Ok(()) => String::from_utf8(buffer).unwrap_or_default(),
            Err(error) => format!("# {error}\n"),
        }
    }
}

fn counter(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    register(registry, IntCounterVec::new(options(name, help), labels)?)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    register(registry, IntGauge::with_opts(options(name, help))?)
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("securityv0")
}

fn register<M: Collector + Clone + 'static>(registry: &Registry, metric: M) -> Result<M, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_rendered_with_its_prefix() {
        let metrics = Metrics::new().unwrap();
        metrics.scans.with_label_values(&["Failed", "Lost"]).inc();
        metrics.scans_active.set(3);
        let text = metrics.render();
        assert!(text.contains("securityv0_scans_total{outcome=\"Failed\",reason=\"Lost\"} 1"), "{text}");
        assert!(text.contains("securityv0_scans_active 3"), "{text}");
    }
}
