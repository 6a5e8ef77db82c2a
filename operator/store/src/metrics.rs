//! Counters for Prometheus. Labels are operations and codes, never names.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

use crate::gc::Collected;

/// The store's metrics.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    /// Requests by operation and HTTP status.
    pub requests: IntCounterVec,
    /// Bytes taken in.
    pub received: IntCounter,
    /// Objects deleted, by kind.
    pub collected: IntCounterVec,
    /// Passes of the collector, by result.
    pub passes: IntCounterVec,
    /// End of the server certificate, seconds since 1970.
    pub certificate_end: IntGauge,
}

impl Metrics {
    /// Registers all of them.
    pub fn new() -> Result<Self, prometheus::Error> {
        let metrics = Self {
            registry: Registry::new(),
            requests: IntCounterVec::new(
                Opts::new("securityv0_store_requests_total", "Requests by operation and HTTP status."),
                &["operation", "code"],
            )?,
            received: IntCounter::new("securityv0_store_received_bytes_total", "Bytes of accepted request bodies.")?,
            collected: IntCounterVec::new(
                Opts::new(
                    "securityv0_store_collected_objects_total",
                    "Objects that the collector deleted, by kind; orphan: all that was left of an instance that is gone.",
                ),
                &["kind"],
            )?,
            passes: IntCounterVec::new(
                Opts::new("securityv0_store_collector_passes_total", "Passes of the collector, by result."),
                &["result"],
            )?,
            certificate_end: IntGauge::new(
                "securityv0_store_certificate_expiry_timestamp_seconds",
                "When the server certificate ends, in seconds since 1970.",
            )?,
        };
        let registry = &metrics.registry;
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.received.clone()))?;
        registry.register(Box::new(metrics.collected.clone()))?;
        registry.register(Box::new(metrics.passes.clone()))?;
        registry.register(Box::new(metrics.certificate_end.clone()))?;
        Ok(metrics)
    }

    /// Counts what a pass of the collector did.
    pub fn count(&self, collected: &Collected) {
        let result = if collected.failed == 0 { "ok" } else { "partial" };
        self.passes.with_label_values(&[result]).inc();
        let Collected { snapshots, parts, blobs, orphans, failed: _ } = *collected;
        for (kind, n) in [("snapshot", snapshots), ("part", parts), ("blob", blobs), ("orphan", orphans)] {
            self.collected.with_label_values(&[kind]).inc_by(n);
        }
    }

    /// Prometheus' text format.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}
