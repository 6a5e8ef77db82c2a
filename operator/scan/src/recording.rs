//! Recordings of scans: what of an order goes into one, and the order that comes out again. Takes orders and reports;
//! gives a finished recording, or a replay with its order. Of how the source system and the store are reached nothing is
//! kept: a replay reaches neither.

use std::path::Path;
use std::sync::LazyLock;

use sv0_connector::{Recorder, RecordingError, Replay, Scan};
use sv0_protocol::{Network, Reason, ScanReport, ScanRequest, Source, StoreAccess};

/// Every reason code, for token failures in a recording.
static REASONS: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| Reason::ALL.iter().map(|reason| reason.as_str()).collect());

/// Makes what was written during a scan a recording of it. A scan without a snapshot leaves none.
pub fn finish_recording(recorder: &Recorder, request: &ScanRequest, report: &ScanReport) -> Result<(), RecordingError> {
    if report.snapshot.is_none() {
        return Err(RecordingError::CutShort);
    }
    let Source::Entra { tenant_id, .. } = &request.source;
    let kept = ScanRequest {
        network: Network::default(),
        store: StoreAccess { url: String::new(), ca_pem: String::new() },
        ..request.clone()
    };
    recorder.finish(Scan {
        connector: system(request),
        collection_revision: request.accepted_collection_revision,
        tenant: tenant_id,
        as_of: report.started_at,
        order: serde_json::to_value(kept).map_err(|_| RecordingError::NoIndex)?,
    })
}

/// Opens a recording, with the order that it was made by.
pub fn open_recording(path: &Path) -> Result<(Replay, ScanRequest), RecordingError> {
    let replay = Replay::open(path, &REASONS)?;
    let recording = replay.recording();
    let request: ScanRequest =
        serde_json::from_value(recording.order.clone()).map_err(|_| RecordingError::Foreign("form of order"))?;
    let Source::Entra { tenant_id, .. } = &request.source;
    if recording.connector != system(&request) {
        return Err(RecordingError::Foreign("connector"));
    }
    if !recording.tenant.eq_ignore_ascii_case(tenant_id) {
        return Err(RecordingError::Foreign("tenant"));
    }
    if recording.collection_revision != request.accepted_collection_revision {
        return Err(RecordingError::Foreign("collection revision"));
    }
    Ok((replay, request))
}

fn system(request: &ScanRequest) -> &'static str {
    match request.source {
        Source::Entra { .. } => "entra",
    }
}
