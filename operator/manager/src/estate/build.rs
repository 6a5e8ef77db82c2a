//! Builds the evaluation's Job from its order, and reads the order back from a Job.
//!
//! Pure. The name follows from the estate, the order and the number of the attempt, so that an order has one Job per
//! attempt however often it is built.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    ConfigMapProjection, DownwardAPIProjection, DownwardAPIVolumeFile, KeyToPath, ObjectFieldSelector, Volume,
    VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sv0_protocol::{EvaluateRequest, names, store};

use crate::config::Config;
use crate::pod;

/// On an evaluation Job: how many attempts in a row failed before this one.
pub(crate) const ATTEMPT_ANNOTATION: &str = "securityv0.com/attempt";
/// Where client libraries look for the API server's token and certificate.
const API_ACCESS_DIR: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// An hour is the largest estate's bound.
const DEADLINE_SECONDS: i64 = 3600;

/// The Job's name. Attempts after the first have their number, so that the failed one can stay until its
/// successor exists.
pub(crate) fn job_name(request: &EvaluateRequest, order: &str, attempt: u32) -> String {
    let estate = pod::short_hash(&[&request.namespace], 8);
    let digest = pod::short_hash(&[order], 12);
    if attempt == 0 { format!("sv0-eval-{estate}-{digest}") } else { format!("sv0-eval-{estate}-{digest}-{attempt}") }
}

/// The Job that carries out the order, whose JSON is `order`.
pub(crate) fn job(request: &EvaluateRequest, order: String, attempt: u32, config: &Config) -> Job {
    let estate = request.namespace.as_str();
    let audience = store::evaluate_audience(estate);
    let metadata = ObjectMeta {
        name: Some(job_name(request, &order, attempt)),
        namespace: Some(config.operator_namespace.clone()),
        labels: Some(pod::labels([(names::PROGRAM_LABEL, "evaluate"), (names::ESTATE_LABEL, estate)])),
        annotations: Some(
            [
                (names::RUN_ANNOTATION.to_owned(), pod::short_hash(&[&order], 64)),
                (ATTEMPT_ANNOTATION.to_owned(), attempt.to_string()),
            ]
            .into(),
        ),
        ..ObjectMeta::default()
    };
    let program = pod::Program {
        name: "evaluate",
        order: (names::EVALUATE_REQUEST_ENV, order),
        service_account: names::evaluate_account(estate),
        resources: config.evaluate_pods.resources.clone(),
        volumes: vec![
            (api_access(), API_ACCESS_DIR.to_owned()),
            pod::token_volume("store-token", audience, names::STORE_TOKEN_PATH),
        ],
        active_deadline_seconds: DEADLINE_SECONDS,
    };
    pod::job(metadata, program, config)
}

/// The order of a Job, if it is one of ours and readable by this version.
pub(crate) fn order_of(job: &Job) -> Option<EvaluateRequest> {
    let container = job.spec.as_ref()?.template.spec.as_ref()?.containers.first()?;
    let variable = container.env.iter().flatten().find(|e| e.name == names::EVALUATE_REQUEST_ENV)?;
    serde_json::from_str(variable.value.as_deref()?).ok()
}

/// Whether the Job runs from this image.
pub(crate) fn runs_image(job: &Job, image: &str) -> bool {
    let pod = job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    pod.is_some_and(|pod| pod.containers.iter().all(|container| container.image.as_deref() == Some(image)))
}

/// How many attempts in a row failed before this Job.
pub(crate) fn attempt_of(job: &Job) -> u32 {
    let annotation = job.metadata.annotations.as_ref().and_then(|a| a.get(ATTEMPT_ANNOTATION));
    annotation.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// What the kubelet would mount by itself, written out: the Job must not have anything mounted automatically.
fn api_access() -> Volume {
    let certificate = ConfigMapProjection {
        name: "kube-root-ca.crt".to_owned(),
        items: Some(vec![KeyToPath { key: "ca.crt".to_owned(), path: "ca.crt".to_owned(), mode: None }]),
        optional: None,
    };
    let namespace = DownwardAPIProjection {
        items: Some(vec![DownwardAPIVolumeFile {
            path: "namespace".to_owned(),
            field_ref: Some(ObjectFieldSelector {
                api_version: Some("v1".to_owned()),
                field_path: "metadata.namespace".to_owned(),
            }),
            ..DownwardAPIVolumeFile::default()
        }]),
    };
    let sources = vec![
        pod::token(None, "token"),
        VolumeProjection { config_map: Some(certificate), ..VolumeProjection::default() },
        VolumeProjection { downward_api: Some(namespace), ..VolumeProjection::default() },
    ];
    pod::projected("api-access", sources)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn request() -> EvaluateRequest {
        serde_json::from_value(serde_json::json!({
            "namespace": "team-a", "asOf": "2026-05-05T10:00:00Z",
            "inputs": [{"instance": "corp", "instanceUid": "u", "system": "entra", "tenant": "t", "snapshotId": "1", "snapshotDigest": "sha256:aa"}],
            "estateSpec": {}, "estateGeneration": 2, "maxFindings": 1000,
            "store": {"url": "https://s", "caPem": "PEM"},
        }))
        .unwrap()
    }

    #[test]
    fn evaluation_job() {
        let order = serde_json::to_string(&request()).unwrap();
        insta::assert_yaml_snapshot!(job(&request(), order, 0, &testing::full_config()));
    }

    #[test]
    fn the_order_and_the_attempt_can_be_read_back() {
        let order = serde_json::to_string(&request()).unwrap();
        let built = job(&request(), order, 2, &testing::config());
        assert_eq!((order_of(&built), attempt_of(&built)), (Some(request()), 2));
        assert!(runs_image(&built, &testing::config().image));
        assert!(!runs_image(&built, "securityv0.local/operator:before"));
        assert!(!runs_image(&Job::default(), &testing::config().image));
    }

    #[test]
    fn names_differ_by_attempt_estate_and_order() {
        let name = |estate: &str, order: &str, attempt| {
            job_name(&EvaluateRequest { namespace: estate.to_owned(), ..request() }, order, attempt)
        };
        let one = name("a", "x", 0);
        assert_eq!(one, name("a", "x", 0));
        for other in [name("a", "x", 1), name("b", "x", 0), name("a", "y", 0)] {
            assert_ne!(one, other);
        }
        assert!(name("a", "x", u32::MAX).len() <= 63);
    }

    #[test]
    fn a_foreign_job_has_no_order() {
        assert_eq!(order_of(&Job::default()), None);
    }
}
