//! What every Job of ours has in common: a pod that can do nothing but its work.
//!
//! Pure: values in, `k8s_openapi` types out. The shipped admission policy refuses Jobs of the manager that deviate
//! from this.

use std::collections::BTreeMap;
use std::path::Path;

use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, EmptyDirVolumeSource, EnvVar, LocalObjectReference, PodSecurityContext, PodSpec,
    PodTemplateSpec, ProjectedVolumeSource, ResourceRequirements, SeccompProfile, SecurityContext,
    ServiceAccountTokenProjection, Volume, VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sv0_protocol::names::exit;

use crate::config::Config;

/// The numeric user of the image.
const USER: i64 = 65532;
/// Seconds that a projected token is valid; the kubelet renews it before.
const TOKEN_SECONDS: i64 = 3600;
/// Read by owner and group only.
pub(crate) const FILE_MODE: i32 = 0o440;
/// A finished Job that nobody harvested goes away after this.
const TTL_SECONDS: i32 = 3600;

/// What differs between Jobs.
pub(crate) struct Program {
    /// `scan` or `evaluate`: name of the container and of the binary.
    pub(crate) name: &'static str,
    /// Variable and text of the order.
    pub(crate) order: (&'static str, String),
    /// The account that it runs as.
    pub(crate) service_account: String,
    /// Requests and limits.
    pub(crate) resources: Option<ResourceRequirements>,
    /// Volumes with the places where they are seen.
    pub(crate) volumes: Vec<(Volume, String)>,
    /// Bound by which the Job controller ends it.
    pub(crate) active_deadline_seconds: i64,
}

/// The Job around a program.
pub(crate) fn job(metadata: ObjectMeta, program: Program, config: &Config) -> Job {
    let labels = metadata.labels.clone();
    let deadline = program.active_deadline_seconds;
    let failure_policy = fail_on_final_exit_codes(program.name);
    Job {
        metadata,
        spec: Some(JobSpec {
            backoff_limit: Some(0),
            active_deadline_seconds: Some(deadline),
            ttl_seconds_after_finished: Some(TTL_SECONDS),
            pod_replacement_policy: Some("Failed".to_owned()),
            pod_failure_policy: Some(failure_policy),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta { labels, ..ObjectMeta::default() }),
                spec: Some(pod(program, config)),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}

/// No second pod for an end that a second pod would only repeat.
fn fail_on_final_exit_codes(container: &str) -> PodFailurePolicy {
    PodFailurePolicy {
        rules: vec![PodFailurePolicyRule {
            action: "FailJob".to_owned(),
            on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
                container_name: Some(container.to_owned()),
                operator: "In".to_owned(),
                values: vec![exit::REFUSED, exit::DEFECT],
            }),
            on_pod_conditions: None,
        }],
    }
}

fn pod(program: Program, config: &Config) -> PodSpec {
    let mut program = program;
    program.volumes.push((scratch(), "/tmp".to_owned()));
    let (volumes, mounts): (Vec<Volume>, Vec<VolumeMount>) = program.volumes.into_iter().map(mounted).unzip();
    PodSpec {
        service_account_name: Some(program.service_account),
        // Whatever token the program needs is mounted by name, with its audience.
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        restart_policy: Some("Never".to_owned()),
        image_pull_secrets: pull_secrets(config),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
            ..PodSecurityContext::default()
        }),
        containers: vec![Container {
            name: program.name.to_owned(),
            image: Some(config.image.clone()),
            image_pull_policy: Some(config.image_pull_policy.clone()),
            command: Some(vec![format!("/{}", program.name)]),
            env: Some(vec![EnvVar {
                name: program.order.0.to_owned(),
                value: Some(program.order.1),
                value_from: None,
            }]),
            resources: program.resources,
            volume_mounts: Some(mounts),
            security_context: Some(locked_down()),
            ..Container::default()
        }],
        volumes: Some(volumes),
        ..PodSpec::default()
    }
}

fn pull_secrets(config: &Config) -> Option<Vec<LocalObjectReference>> {
    let names = config.image_pull_secrets.iter().cloned();
    Some(names.map(|name| LocalObjectReference { name }).collect()).filter(|s: &Vec<_>| !s.is_empty())
}

fn locked_down() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        run_as_non_root: Some(true),
        capabilities: Some(Capabilities { add: None, drop: Some(vec!["ALL".to_owned()]) }),
        ..SecurityContext::default()
    }
}

fn mounted((volume, path): (Volume, String)) -> (Volume, VolumeMount) {
    let writable = volume.empty_dir.is_some();
    let mount = VolumeMount {
        name: volume.name.clone(),
        mount_path: path,
        read_only: Some(true).filter(|_| !writable),
        ..VolumeMount::default()
    };
    (volume, mount)
}

fn scratch() -> Volume {
    Volume { name: "tmp".to_owned(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Volume::default() }
}

/// A token of the pod's account for `audience`, at the file `path`; without an audience, for the API server.
pub(crate) fn token(audience: Option<String>, file: &str) -> VolumeProjection {
    VolumeProjection {
        service_account_token: Some(ServiceAccountTokenProjection {
            audience,
            expiration_seconds: Some(TOKEN_SECONDS),
            path: file.to_owned(),
        }),
        ..VolumeProjection::default()
    }
}

/// A read-only volume of projections.
pub(crate) fn projected(name: &str, sources: Vec<VolumeProjection>) -> Volume {
    Volume {
        name: name.to_owned(),
        projected: Some(ProjectedVolumeSource { default_mode: Some(FILE_MODE), sources: Some(sources) }),
        ..Volume::default()
    }
}

/// A volume that holds the token for `audience` at the absolute path `path`.
pub(crate) fn token_volume(name: &str, audience: String, path: &str) -> (Volume, String) {
    let path = Path::new(path);
    let file = path.file_name().and_then(|f| f.to_str()).unwrap_or("token");
    let directory = path.parent().and_then(Path::to_str).unwrap_or("/");
    (projected(name, vec![token(Some(audience), file)]), directory.to_owned())
}

/// Labels of our Jobs and pods.
pub(crate) fn labels<const N: usize>(own: [(&str, &str); N]) -> BTreeMap<String, String> {
    [("app.kubernetes.io/managed-by", "securityv0"), ("app.kubernetes.io/name", "securityv0")]
        .into_iter()
        .chain(own)
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// The first `len` hexadecimal digits of the SHA-256 of `parts`, separated so that no two lists of parts collide.
pub(crate) fn short_hash(parts: &[&str], len: usize) -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let mut text = hex::encode(hash.finalize());
    text.truncate(len);
    text
}
