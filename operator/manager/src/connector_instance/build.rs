//! Builds the scan's order and its Job from an instance.
//!
//! Pure. The Job's name follows from the instance's UID and the scan's id alone, so that whoever builds it again
//! after a crash builds the same one.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{SecretVolumeSource, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;
use sv0_api::{ConnectorInstance, EntraCloud};
use sv0_protocol::{Auth, Limits, MicrosoftCloud, Network, ScanRequest, Source, StoreAccess, names, store};

use super::validate::Valid;
use crate::config::Config;
use crate::pod;

/// How much longer than the scan's own deadline the Job may take: the scan ends first, with a report.
const JOB_GRACE_SECONDS: i64 = 120;

/// A sortable id, also the snapshot's: milliseconds, then a share of the UID's hash against two in the same one.
pub(crate) fn scan_id(uid: &str, now: Timestamp) -> String {
    let millis = now.as_millisecond().max(0);
    format!("{millis:014}-{}", pod::short_hash(&[uid, &millis.to_string()], 8))
}

/// The scan's Job.
pub(crate) fn job_name(instance: &str, uid: &str, scan_id: &str) -> String {
    format!("sv0-scan-{instance}-{}", pod::short_hash(&[uid, scan_id], 8))
}

/// The order.
pub(crate) fn request(valid: &Valid<'_>, scan_id: &str, config: &Config, store: StoreAccess) -> ScanRequest {
    let spec = &valid.instance.spec;
    let asked = spec.limits.clone().unwrap_or_default();
    let bound = |asked: Option<i64>, most: u32| {
        asked.map_or(u64::from(most), |n| u64::try_from(n).unwrap_or(0).min(u64::from(most)))
    };
    let non_empty = |text: &String| Some(text.clone()).filter(|t| !t.is_empty());
    ScanRequest {
        namespace: valid.namespace.to_owned(),
        instance: valid.name.to_owned(),
        instance_uid: valid.uid.to_owned(),
        scan_id: scan_id.to_owned(),
        source: Source::Entra {
            tenant_id: valid.entra.tenant_id.clone(),
            client_id: valid.entra.client_id.clone(),
            cloud: cloud(valid.entra.cloud),
        },
        auth: if valid.secret.is_some() { Auth::ClientSecret } else { Auth::WorkloadIdentity },
        accepted_collection_revision: u32::try_from(spec.collection_revision()).unwrap_or(1),
        deadline_seconds: bound(asked.deadline_seconds.map(i64::from), config.limits.scan_deadline_seconds),
        limits: Limits { max_requests: bound(asked.max_requests, config.limits.max_requests), ..Limits::default() },
        network: Network {
            trusted_ca_pem: non_empty(&config.network.trusted_ca),
            private_hosts: config.network.private_hosts.clone(),
            proxy: non_empty(&config.network.proxy),
            ..Network::default()
        },
        store,
    }
}

/// The Job that carries out the order.
pub(crate) fn job(valid: &Valid<'_>, request: &ScanRequest, order: String, config: &Config) -> Job {
    let program = pod::Program {
        name: "scan",
        order: (names::SCAN_REQUEST_ENV, order),
        service_account: valid.instance.spec.service_account_name.clone(),
        resources: config.scan_pods.resources.clone(),
        volumes: volumes(valid),
        active_deadline_seconds: i64::try_from(request.deadline_seconds).unwrap_or(i64::MAX - JOB_GRACE_SECONDS)
            + JOB_GRACE_SECONDS,
    };
    let mut job = pod::job(metadata(valid, &request.scan_id), program, config);
    if let Some(spec) = job.spec.as_mut().and_then(|s| s.template.spec.as_mut()) {
        spec.node_selector = Some(config.scan_pods.node_selector.clone()).filter(|s| !s.is_empty());
        spec.tolerations = Some(config.scan_pods.tolerations.clone()).filter(|t| !t.is_empty());
        spec.host_aliases = Some(config.network.host_aliases.clone()).filter(|a| !a.is_empty());
    }
    job
}

fn metadata(valid: &Valid<'_>, scan_id: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(job_name(valid.name, valid.uid, scan_id)),
        namespace: Some(valid.namespace.to_owned()),
        labels: Some(pod::labels([(names::PROGRAM_LABEL, "scan"), (names::INSTANCE_LABEL, valid.name)])),
        annotations: Some([(names::RUN_ANNOTATION.to_owned(), scan_id.to_owned())].into()),
        // Deleting the instance deletes its Job. Not "blocking": that would need the right to set finalizers.
        owner_references: Some(vec![OwnerReference {
            api_version: ConnectorInstance::api_version(&()).into_owned(),
            kind: ConnectorInstance::kind(&()).into_owned(),
            name: valid.name.to_owned(),
            uid: valid.uid.to_owned(),
            controller: Some(true),
            block_owner_deletion: None,
        }]),
        ..ObjectMeta::default()
    }
}

fn volumes(valid: &Valid<'_>) -> Vec<(Volume, String)> {
    let audience = store::scan_audience(valid.namespace, valid.name, valid.uid);
    let store_token = pod::token_volume("store-token", audience, names::STORE_TOKEN_PATH);
    let credential = if let Some(secret) = valid.secret {
        (secret_volume(secret), names::CREDENTIAL_DIR.to_owned())
    } else {
        let audience = valid.entra.cloud.federation_audience().to_owned();
        pod::token_volume("federated-token", audience, names::FEDERATED_TOKEN_PATH)
    };
    vec![store_token, credential]
}

/// Optional, so that a missing Secret is reported by the program instead of leaving the pod hanging.
fn secret_volume(name: &str) -> Volume {
    Volume {
        name: "credential".to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(name.to_owned()),
            optional: Some(true),
            default_mode: Some(pod::FILE_MODE),
            items: None,
        }),
        ..Volume::default()
    }
}

const fn cloud(cloud: EntraCloud) -> MicrosoftCloud {
    match cloud {
        EntraCloud::Public => MicrosoftCloud::Public,
        EntraCloud::UsGov => MicrosoftCloud::UsGov,
        EntraCloud::UsGovDod => MicrosoftCloud::UsGovDod,
        EntraCloud::China => MicrosoftCloud::China,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector_instance::validate::validate;
    use crate::testing;

    #[test]
    fn workload_identity_job() {
        let instance = testing::instance(r#"{"workloadIdentity": {}}"#);
        insta::assert_yaml_snapshot!(build(&instance, &testing::config()));
    }

    #[test]
    fn client_secret_job_with_every_setting() {
        let mut instance = testing::instance(r#"{"clientSecret": {"secretName": "sv0-entra"}}"#);
        instance.spec.limits = Some(sv0_api::InstanceLimits { max_requests: Some(500), deadline_seconds: Some(60) });
        instance.spec.accepted_collection_revision = Some(3);
        insta::assert_yaml_snapshot!(build(&instance, &testing::full_config()));
    }

    #[test]
    fn an_instance_cannot_raise_the_operators_limits() {
        let mut instance = testing::instance(r#"{"workloadIdentity": {}}"#);
        instance.spec.limits =
            Some(sv0_api::InstanceLimits { max_requests: Some(9_000_000), deadline_seconds: Some(86_400) });
        let request = request(&validate(&instance).unwrap(), "id", &testing::config(), testing::store());
        assert_eq!((request.limits.max_requests, request.deadline_seconds), (20_000, 1500));
    }

    #[test]
    fn names_follow_from_uid_and_scan_id_and_fit() {
        let id = scan_id("uid", "2026-05-05T10:00:00.123Z".parse().unwrap());
        assert!(id.starts_with("01777975200123-") && id.len() == 23, "{id}");
        let name = job_name(&"a".repeat(40), "uid", &id);
        assert_eq!(name, job_name(&"a".repeat(40), "uid", &id));
        assert_ne!(name, job_name(&"a".repeat(40), "other", &id));
        assert!(name.len() <= 63, "{}", name.len());
    }

    fn build(instance: &ConnectorInstance, config: &Config) -> Job {
        let valid = validate(instance).unwrap();
        let request = request(&valid, "01777975200123-0123abcd", config, testing::store());
        let order = serde_json::to_string(&request).unwrap();
        job(&valid, &request, order, config)
    }
}
