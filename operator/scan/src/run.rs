//! The order of things: check the request, sign in and collect, write the snapshot, report.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use sv0_broker::microsoft::Endpoints;
use sv0_broker::{Credential, EntraBroker, EntraConfig, Surroundings};
use sv0_connector::{
    Cause, Collected, Connector as _, Engine, EngineConfig, Exchanges, Failure, Limits, NetworkPolicy, Pause,
    TokenSource,
};
use sv0_connector_entra::{Config, Entra};
use sv0_graph::{Header, SNAPSHOT_FORMAT, SnapshotError};
use sv0_protocol::{Auth, MicrosoftCloud, Outcome, Reason, ScanReport, ScanRequest, SnapshotRef, Source};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::report::{with_collected, with_failure};
use crate::sink::{Rows, SnapshotSink};

/// What a scan reaches besides its request.
pub struct Ports {
    /// Where Microsoft is; nothing for the request's own cloud.
    pub endpoints: Option<Endpoints>,
    /// The mounted credential Secret.
    pub credential_dir: PathBuf,
    /// The pod's federated token.
    pub federated_token: PathBuf,
    /// What the environment says of Azure.
    pub surroundings: Surroundings,
    /// Where the snapshot goes.
    pub sink: Box<dyn SnapshotSink>,
    /// Waiting.
    pub pause: Arc<dyn Pause>,
    /// Ends the scan early.
    pub stop: CancellationToken,
    /// Tells the time for the report; observation time is the scan's start.
    pub now: fn() -> Timestamp,
}

/// Runs a scan to its report.
pub async fn run(request: &ScanRequest, ports: &Ports) -> ScanReport {
    Box::pin(run_with(request, ports, &Exchanges::Live)).await
}

/// Runs a scan to its report, and writes down what is answered, or asks a recording. A replay takes place at the time
/// of the recorded scan, so that twice the same gives the same.
pub async fn run_with(request: &ScanRequest, ports: &Ports, exchanges: &Exchanges) -> ScanReport {
    let now = || exchanges.as_of().unwrap_or_else(ports.now);
    let mut report = blank(request, now());
    let rows = Rows::default();
    let outcome = match Setup::new(request, ports, exchanges) {
        Ok(setup) => {
            // Nothing that waits may hold the end up: the kubelet kills after its grace period.
            let outcome = tokio::select! {
                () = ports.stop.cancelled() => Err(Cause::Stopped.into()),
                outcome = setup.collect(&rows, report.started_at) => outcome,
            };
            report.token_requests = setup.broker.token_requests();
            report.requests = setup.engine.usage().requests + report.token_requests;
            report.vendor_code = setup.broker.failure().and_then(|error| error.vendor_code);
            match exchanges.verdict() {
                Ok(()) => outcome.map(|collected| (collected, setup)),
                Err(error) => {
                    tracing::error!(%error, "the recording cannot be used");
                    Err(Cause::Internal.into())
                }
            }
        }
        Err(failure) => Err(failure),
    };
    match outcome {
        _ if ports.stop.is_cancelled() => with_failure(&mut report, &Cause::Stopped.into()),
        Err(failure) => with_failure(&mut report, &failure),
        Ok((collected, setup)) => {
            with_collected(&mut report, &collected);
            report.credential_expires_at = setup.broker.credential_ends().or(report.credential_expires_at);
            let header = setup.header(request, &collected, report.started_at, now());
            let stored = tokio::select! {
                () = ports.stop.cancelled() => Err(Reason::Lost),
                stored = store(ports.sink.as_ref(), header, rows) => stored,
            };
            match stored {
                Ok(snapshot) => report.snapshot = Some(snapshot),
                Err(reason) => {
                    report.outcome = Outcome::Failed;
                    report.reason = Some(reason);
                }
            }
        }
    }
    report.finished_at = now();
    tracing::info!(
        outcome = ?report.outcome,
        reason = report.reason.map(Reason::as_str),
        requests = report.requests,
        token_requests = report.token_requests,
        items = report.items,
        complete = report.complete_collections,
        gaps = report.gaps.len(),
        "scan ended"
    );
    report
}

/// What a request is made into.
struct Setup {
    broker: Arc<EntraBroker>,
    connector: Entra,
    engine: Engine,
}

impl Setup {
    fn new(request: &ScanRequest, ports: &Ports, exchanges: &Exchanges) -> Result<Self, Failure> {
        let Source::Entra { tenant_id, client_id, cloud } = &request.source;
        let network = NetworkPolicy {
            trusted_ca_pem: request.network.trusted_ca_pem.clone(),
            private_hosts: request.network.private_hosts.clone(),
            proxy: request.network.proxy.clone(),
        };
        let endpoints = ports.endpoints.clone().or_else(|| Endpoints::of(*cloud)).ok_or(Cause::Internal)?;
        let hosts = BTreeMap::from([("graph".to_owned(), endpoints.graph().clone())]);
        let config = EntraConfig {
            tenant_id: tenant_id.clone(),
            client_id: client_id.clone(),
            endpoints,
            credential: credential(&request.auth, ports),
            surroundings: ports.surroundings.clone(),
            allow_metadata_endpoint: request.network.allow_metadata_endpoint,
            now: ports.now,
        };
        let broker = Arc::new(EntraBroker::new(config, &network, Arc::clone(&ports.pause))?);
        let connector = Entra::new(Config {
            tenant_id: tenant_id.clone(),
            client_id: client_id.clone(),
            uses_client_secret: request.auth == Auth::ClientSecret,
            // The vendor has its reports of sign-ins in the public cloud only.
            has_sign_in_reports: *cloud == MicrosoftCloud::Public,
        })
        .map_err(|error| {
            tracing::error!(%error, "the connector's manifest is broken");
            Cause::Internal
        })?;
        let config = EngineConfig {
            hosts,
            limits: Limits {
                max_requests: request.limits.max_requests,
                max_response_bytes: request.limits.max_response_bytes,
                max_pages: request.limits.max_pages,
                concurrency: request.limits.concurrency,
            },
            network,
            accepted_revision: request.accepted_collection_revision,
            deadline: Instant::now() + Duration::from_secs(request.deadline_seconds),
            stop: ports.stop.clone(),
            pause: Arc::clone(&ports.pause),
        };
        let tokens: Arc<dyn TokenSource> = Arc::clone(&broker) as _;
        let engine = Engine::new(connector.shared_manifest(), config, tokens)?.with_exchanges(exchanges.clone());
        Ok(Self { broker, connector, engine })
    }

    async fn collect(&self, rows: &Rows, started_at: Timestamp) -> Result<Collected, Failure> {
        Box::pin(self.connector.collect(&self.engine, rows, started_at)).await
    }

    fn header(&self, request: &ScanRequest, collected: &Collected, from: Timestamp, to: Timestamp) -> Header {
        let manifest = self.connector.manifest();
        Header {
            format: SNAPSHOT_FORMAT.to_owned(),
            system: manifest.system.clone(),
            tenant: collected.tenant.clone(),
            instance: request.instance.clone(),
            instance_uid: request.instance_uid.clone(),
            scan_id: request.scan_id.clone(),
            observed_at: from,
            finished_at: to,
            connector: format!("{}/{}", manifest.system, env!("CARGO_PKG_VERSION")),
            collection_revision: request.accepted_collection_revision.min(manifest.collection_revision),
            operations: manifest.graph_operations(),
            coverage: collected.coverage.clone(),
        }
    }
}

/// Where the credential of the ordered way to sign in is found.
fn credential(auth: &Auth, ports: &Ports) -> Credential {
    match auth {
        Auth::ClientSecret => Credential::ClientSecret { dir: ports.credential_dir.clone() },
        Auth::ClientCertificate => Credential::ClientCertificate { dir: ports.credential_dir.clone() },
        Auth::WorkloadIdentity => Credential::WorkloadIdentity { token: ports.federated_token.clone() },
        Auth::ManagedIdentity => Credential::ManagedIdentity,
        Auth::FederatedManagedIdentity { managed_identity_client_id } => {
            Credential::FederatedManagedIdentity { managed_identity_client_id: managed_identity_client_id.clone() }
        }
    }
}

/// Parts first, the manifest last.
async fn store(sink: &dyn SnapshotSink, header: Header, rows: Rows) -> Result<SnapshotRef, Reason> {
    let id = header.scan_id.clone();
    let encoded = tokio::task::spawn_blocking(move || rows.take().write(header))
        .await
        .map_err(|_| Reason::InternalError)?
        .map_err(|error: SnapshotError| {
            tracing::error!(%error, "the snapshot cannot be written");
            Reason::InternalError
        })?;
    for part in encoded.parts {
        sink.put_part(Bytes::from(part.bytes)).await.map_err(|error| error.reason)?;
    }
    let manifest = Bytes::from(encoded.manifest_bytes);
    sink.put_manifest(&id, manifest).await.map_err(|error| error.reason)?;
    Ok(SnapshotRef { id, digest: encoded.digest })
}

fn blank(request: &ScanRequest, now: Timestamp) -> ScanReport {
    ScanReport {
        scan_id: request.scan_id.clone(),
        outcome: Outcome::Failed,
        reason: None,
        vendor_code: None,
        retry_after_seconds: None,
        started_at: now,
        finished_at: now,
        requests: 0,
        token_requests: 0,
        items: 0,
        snapshot: None,
        gaps: Vec::new(),
        complete_collections: 0,
        permissions_missing: Vec::new(),
        permissions_excess: Vec::new(),
        credential_expires_at: None,
        pending_collection_revision: None,
        consent: None,
    }
}
