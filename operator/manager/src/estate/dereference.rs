//! Gathers what a decision about an estate rests on. Reads; decides nothing and writes nothing.

use k8s_openapi::api::batch::v1::Job;
use kube::api::ListParams;
use kube::{Api, Resource as _, ResourceExt};
use sv0_api::ConnectorInstance;
use sv0_protocol::names;

use crate::context::{Context, Guarded};
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
    ctx.evaluated_instances_of(namespace).iter().filter_map(|object| instance(object)).collect()
}

/// An instance that cannot be read (it was written for another version) is there all the same: it has no snapshot that
/// could be evaluated, and what was found in it before stays.
fn instance(object: &Guarded<ConnectorInstance>) -> Option<Instance> {
    let (name, uid) = (object.meta().name.clone()?, object.meta().uid.clone()?);
    let source = object.0.as_ref().ok().and_then(|readable| Some((readable, readable.spec.entra.as_ref()?)));
    let Some((readable, entra)) = source else {
        let (system, tenant) = (String::new(), String::new());
        return Some(Instance { name, uid, system, tenant, snapshot: None, scanning_since: None });
    };
    let status = readable.status.as_ref();
    Some(Instance {
        name,
        uid,
        system: readable.spec.system.id().to_owned(),
        tenant: entra.tenant_id.clone(),
        snapshot: status.and_then(|s| s.snapshot.as_ref()).map(|snapshot| Snapshot {
            id: snapshot.id.clone(),
            digest: snapshot.digest.clone(),
            collected_at: snapshot.collected_at.0,
        }),
        scanning_since: status.and_then(|s| s.active_scan.as_ref()).map(|scan| scan.started_at.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::DeserializeGuard;

    fn read(json: &serde_json::Value) -> Guarded<ConnectorInstance> {
        serde_json::from_value::<DeserializeGuard<ConnectorInstance>>(json.clone()).unwrap()
    }

    fn object() -> serde_json::Value {
        let mut object = crate::testing::instance(r#"{"clientSecret": {"secretName": "s"}}"#);
        object.metadata.uid = Some("u".into());
        serde_json::to_value(object).unwrap()
    }

    /// It was not deleted: its findings must not leave.
    #[test]
    fn an_instance_of_another_version_is_there_without_a_snapshot() {
        let readable = instance(&read(&object())).unwrap();
        assert_eq!((readable.uid.as_str(), readable.system.as_str()), ("u", "entra"));
        let (mut system, mut source) = (object(), object());
        system["spec"]["system"] = "SystemOfTomorrow".into();
        source["spec"].as_object_mut().unwrap().remove("entra");
        source["status"] =
            serde_json::json!({"snapshot": {"id": "1", "digest": "sha256:1", "collectedAt": "2026-05-05T12:00:00Z"}});
        for unreadable in [system, source] {
            let found = instance(&read(&unreadable)).unwrap();
            assert_eq!((found.name.as_str(), found.uid.as_str()), ("corp", "u"));
            assert_eq!(found.snapshot, None);
        }
    }
}
