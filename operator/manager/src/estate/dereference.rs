//! Gathers what a decision about an estate rests on. Reads; decides nothing and writes nothing.

use k8s_openapi::api::batch::v1::Job;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use sv0_api::ConnectorInstance;
use sv0_protocol::names;

use crate::context::Context;
use crate::error::Error;
use crate::evaluation_due::{Instance, Snapshot};

/// The estate's evaluation Jobs, newest first. Those that are being deleted do not count.
pub(super) async fn jobs(ctx: &Context, namespace: &str) -> Result<Vec<Job>, Error> {
    let api: Api<Job> = Api::namespaced(ctx.client.clone(), &ctx.config.operator_namespace);
    let selector = format!("{}={namespace},{}=evaluate", names::ESTATE_LABEL, names::PROGRAM_LABEL);
    let found = api.list(&ListParams::default().labels(&selector)).await.map_err(Error::ReadJob)?;
    let mut jobs: Vec<Job> = found.items.into_iter().filter(|j| j.metadata.deletion_timestamp.is_none()).collect();
    jobs.sort_by_key(|job| {
        let created = job.metadata.creation_timestamp.as_ref().map(|t| t.0);
        std::cmp::Reverse((created, super::build::attempt_of(job), job.name_any()))
    });
    Ok(jobs)
}

/// The estate's live instances, as far as an evaluation cares.
pub(super) fn instances(ctx: &Context, namespace: &str) -> Vec<Instance> {
    let all = ctx.instances_of(namespace);
    all.iter().filter_map(|object| object.0.as_ref().ok()).filter_map(instance).collect()
}

fn instance(object: &ConnectorInstance) -> Option<Instance> {
    let status = object.status.as_ref();
    Some(Instance {
        name: object.metadata.name.clone()?,
        uid: object.metadata.uid.clone()?,
        system: object.spec.system.id().to_owned(),
        tenant: object.spec.entra.as_ref()?.tenant_id.clone(),
        snapshot: status.and_then(|s| s.snapshot.as_ref()).map(|snapshot| Snapshot {
            id: snapshot.id.clone(),
            digest: snapshot.digest.clone(),
            collected_at: snapshot.collected_at.0,
        }),
        scanning_since: status.and_then(|s| s.active_scan.as_ref()).map(|scan| scan.started_at.0),
    })
}
