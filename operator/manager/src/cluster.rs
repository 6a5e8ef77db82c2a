//! The few requests that the manager makes to the API server besides its watches. Each is one act; nothing is decided.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod, ServiceAccount};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, PropagationPolicy};
use kube::core::{NamespaceResourceScope, PartialObjectMeta};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sv0_protocol::{Reason, StoreAccess, names};

use crate::config::Config;
use crate::context::MANAGER;
use crate::error::Error;
use crate::job_state::{self, JobState, refusal};

/// Where the store publishes its certificate authority.
const STORE_CA: &str = "securityv0-store-ca";
const STORE_CA_KEY: &str = "ca.crt";
/// Of one Job: more than that is noise.
const EVENTS_LIMIT: u32 = 20;
/// Characters of a refusal that are logged.
const REFUSAL_LENGTH: usize = 600;

/// How a scan's account is fit for it.
pub(crate) async fn check_account(client: &Client, namespace: &str, name: &str) -> Result<Option<Reason>, Error> {
    let api: Api<PartialObjectMeta<ServiceAccount>> = Api::namespaced(client.clone(), namespace);
    let Some(account) = api.get_opt(name).await.map_err(Error::ReadAccount)? else {
        return Ok(Some(Reason::ServiceAccountMissing));
    };
    let allowed = account.labels().get(names::SCAN_ACCOUNT_LABEL).is_some_and(|value| value == "true");
    Ok((!allowed).then_some(Reason::ServiceAccountNotAllowed))
}

/// How Jobs reach the store; none until the store has published its authority.
pub(crate) async fn store_access(client: &Client, config: &Config) -> Result<Option<StoreAccess>, Error> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), &config.operator_namespace);
    let map = api.get_opt(STORE_CA).await.map_err(Error::ReadStoreCa)?;
    let ca = map.and_then(|m| m.data?.remove(STORE_CA_KEY)).filter(|pem| !pem.trim().is_empty());
    Ok(ca.map(|ca_pem| StoreAccess { url: config.store_url.clone(), ca_pem }))
}

/// Creates the Job; one that exists already is the same one. `Some` is why the API server refused it.
pub(crate) async fn create_job(client: &Client, job: &Job) -> Result<Option<Reason>, Error> {
    let api: Api<Job> = Api::namespaced(client.clone(), &job.namespace().unwrap_or_default());
    match api.create(&PostParams::default(), job).await {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(None),
        Err(kube::Error::Api(status)) if status.is_forbidden() || status.is_invalid() => {
            // An admission policy's sentence is the only explanation there is. A message about an invalid object
            // could quote the order, so only its fields are named.
            let why = if status.is_forbidden() { status.message.clone() } else { fields(&status) };
            let why: String = why.chars().take(REFUSAL_LENGTH).collect();
            tracing::warn!(code = status.code, why, "the API server refuses a Job");
            Ok(Some(refusal(&status.message)))
        }
        Err(error) => Err(Error::CreateJob(error)),
    }
}

/// The fields that the API server finds fault with.
fn fields(status: &kube::core::Status) -> String {
    let causes = status.details.as_ref().map(|d| d.causes.as_slice()).unwrap_or_default();
    causes.iter().map(|cause| cause.field.as_str()).collect::<Vec<_>>().join(", ")
}

/// Deletes the Job with its pods; one that is gone already is fine.
pub(crate) async fn delete_job(client: &Client, namespace: &str, name: &str) -> Result<(), Error> {
    let api: Api<Job> = Api::namespaced(client.clone(), namespace);
    let background =
        DeleteParams { propagation_policy: Some(PropagationPolicy::Background), ..DeleteParams::default() };
    match api.delete(name, &background).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(error) => Err(Error::DeleteJob(error)),
    }
}

/// Deletes every scan Job of the instance `owner`: for when none is recorded as under way.
pub(crate) async fn delete_scan_jobs(client: &Client, namespace: &str, name: &str, owner: &str) -> Result<(), Error> {
    let api: Api<PartialObjectMeta<Job>> = Api::namespaced(client.clone(), namespace);
    let labels = format!("{}=scan,{}={name}", names::PROGRAM_LABEL, names::INSTANCE_LABEL);
    for job in api.list(&ListParams::default().labels(&labels)).await.map_err(Error::ReadJob)? {
        if job_state::controlled_by(&job.metadata, owner) {
            delete_job(client, namespace, &job.name_any()).await?;
        }
    }
    Ok(())
}

/// Where the named Job of the instance `owner` stands. A Job that belongs to somebody else under the same name is none
/// of ours: missing.
pub(crate) async fn job_state(
    client: &Client,
    namespace: &str,
    name: &str,
    owner: &str,
    now: Timestamp,
) -> Result<JobState, Error> {
    let api: Api<Job> = Api::namespaced(client.clone(), namespace);
    match api.get_opt(name).await.map_err(Error::ReadJob)? {
        Some(job) if job_state::controlled_by(&job.metadata, owner) => state_of(client, &job, now).await,
        _ => Ok(JobState::Missing),
    }
}

/// Where this Job stands: asks for its pods, and for events only when there are none.
pub(crate) async fn state_of(client: &Client, job: &Job, now: Timestamp) -> Result<JobState, Error> {
    let (namespace, uid) = (job.namespace().unwrap_or_default(), job.uid().unwrap_or_default());
    let selector = ListParams::default().labels(&format!("batch.kubernetes.io/controller-uid={uid}"));
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let mut pods = pods.list(&selector).await.map_err(Error::ReadJob)?.items;
    // Anybody in the namespace can label a pod; only the Job controller's own have the Job as their controller.
    pods.retain(|pod| job_state::controlled_by(&pod.metadata, &uid));
    let events = if pods.is_empty() { refusals(client, &namespace, &uid).await } else { Vec::new() };
    Ok(job_state::observe(Some(job), &pods, &events, now))
}

/// Why no pod could be made. Only an explanation: whoever may not read events gets none.
async fn refusals(client: &Client, namespace: &str, uid: &str) -> Vec<Event> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let selector =
        ListParams::default().fields(&format!("involvedObject.uid={uid},reason=FailedCreate")).limit(EVENTS_LIMIT);
    match api.list(&selector).await {
        Ok(list) => list.items,
        Err(error) => {
            tracing::debug!(%error, "cannot read the events of a Job");
            Vec::new()
        }
    }
}

/// Whether the object is still as it was seen.
pub(crate) async fn is_current<K>(client: &Client, seen: &K) -> Result<bool, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let api: Api<PartialObjectMeta<K>> = Api::namespaced(client.clone(), &seen.namespace().unwrap_or_default());
    let found = api.get_opt(&seen.name_any()).await.map_err(Error::ReadJob)?;
    Ok(found.is_some_and(|f| f.uid() == seen.uid() && f.resource_version() == seen.resource_version()))
}

/// Applies a whole status to the object as it was seen. A conflict means that it has changed since.
pub(crate) async fn apply_status<K, S>(client: &Client, seen: &K, status: &S) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + DeserializeOwned,
    S: Serialize,
{
    let name = seen.name_any();
    let body = serde_json::json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        // The version that was seen: a decision made on an old view must not overwrite a newer one.
        "metadata": {"name": name, "resourceVersion": seen.resource_version()},
        "status": status,
    });
    let api: Api<PartialObjectMeta<K>> = Api::namespaced(client.clone(), &seen.namespace().unwrap_or_default());
    let params = PatchParams::apply(MANAGER).force();
    api.patch_status(&name, &params, &Patch::Apply(&body)).await.map(drop).map_err(Error::WriteStatus)
}
