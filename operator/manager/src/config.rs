//! The manager's configuration file: strict YAML, rendered by the chart. An unknown or malformed setting stops the
//! manager with a sentence, because a limit that is silently ignored protects nobody.

use std::collections::BTreeMap;
use std::path::Path;

use k8s_openapi::api::core::v1::{HostAlias, ResourceRequirements, Toleration};
use serde::Deserialize;

/// Everything that the administrator decides.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// Namespace of the manager, the store and the evaluations.
    pub operator_namespace: String,
    /// Image of Jobs: the manager's own.
    pub image: String,
    /// `IfNotPresent`, `Always` or `Never`.
    #[serde(default = "default_pull_policy")]
    pub image_pull_policy: String,
    /// Secrets with registry credentials, present in the estates and in the operator's namespace.
    #[serde(default)]
    pub image_pull_secrets: Vec<String>,
    /// Namespaces that are estates.
    pub estates: Vec<String>,
    /// The store's address.
    pub store_url: String,
    /// Upper bounds.
    #[serde(default)]
    pub limits: Limits,
    /// When estates are evaluated.
    #[serde(default)]
    pub evaluation: Evaluation,
    /// How scans reach source systems.
    #[serde(default)]
    pub network: Network,
    /// What scans may do beyond their source systems.
    #[serde(default)]
    pub scan: Scan,
    /// Placement of scan pods.
    #[serde(default)]
    pub scan_pods: ScanPods,
    /// Size of evaluation pods.
    #[serde(default)]
    pub evaluate_pods: EvaluatePods,
}

/// Upper bounds, whatever an instance asks for.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// Scans at the same time, over all estates.
    pub parallel_scans: u32,
    /// Seconds after which a scan ends by itself.
    pub scan_deadline_seconds: u32,
    /// Requests to the source system in one scan.
    pub max_requests: u32,
    /// Findings kept as resources in one estate.
    pub max_findings: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { parallel_scans: 4, scan_deadline_seconds: 1500, max_requests: 20_000, max_findings: 1000 }
    }
}

/// When estates are evaluated.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Evaluation {
    /// A scan that started less than this ago is waited for.
    pub quiet_seconds: u32,
    /// No new snapshot waits longer than this.
    pub max_delay_seconds: u32,
}

impl Default for Evaluation {
    fn default() -> Self {
        Self { quiet_seconds: 600, max_delay_seconds: 900 }
    }
}

/// How scans reach source systems.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Network {
    /// PEM certificates trusted besides the web roots; empty for none.
    #[serde(rename = "trustedCA")]
    pub trusted_ca: String,
    /// Hosts that may resolve to private addresses.
    pub private_hosts: Vec<String>,
    /// Outbound proxy; empty for none.
    pub proxy: String,
    /// Entries for the scan pods' hosts file.
    pub host_aliases: Vec<HostAlias>,
}

/// What scans may do beyond their source systems.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Scan {
    /// Whether they may ask the node's metadata endpoint for a managed identity's token.
    pub allow_metadata_endpoint: bool,
}

/// Placement of scan pods.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ScanPods {
    /// Requests and limits.
    pub resources: Option<ResourceRequirements>,
    /// Nodes that may take them.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that they tolerate.
    pub tolerations: Vec<Toleration>,
}

/// Size of evaluation pods.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EvaluatePods {
    /// Requests and limits.
    pub resources: Option<ResourceRequirements>,
}

impl EvaluatePods {
    /// Most uncompressed bytes of one snapshot that such a pod takes: rows in memory are up to twelve times their text.
    /// None without a limit on memory.
    pub fn max_snapshot_bytes(&self) -> Option<u64> {
        let memory = self.resources.as_ref()?.limits.as_ref()?.get("memory")?;
        Some(bytes(&memory.0)? / 12)
    }
}

/// A Kubernetes quantity of bytes; none for forms that nobody writes memory in.
fn bytes(quantity: &str) -> Option<u64> {
    let digits = quantity.find(|c: char| !c.is_ascii_digit()).unwrap_or(quantity.len());
    let (number, unit) = quantity.split_at(digits);
    let factor: u64 = match unit {
        "" => 1,
        "k" => 1000,
        "M" => 1000_u64.pow(2),
        "G" => 1000_u64.pow(3),
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {source}; mount it there or name another one with --config")]
    Read {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Not the expected YAML.
    #[error("the configuration is not valid: {0}; correct the chart's values")]
    Parse(#[from] serde_yaml::Error),
    /// A value that cannot work.
    #[error("the configuration is not valid: {0}")]
    Value(String),
}

impl Config {
    /// Reads the file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.display().to_string(), source })?;
        Self::parse(&text)
    }

    /// Reads the text.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self = serde_yaml::from_str(text)?;
        config.check()?;
        Ok(config)
    }

    /// Whether the namespace is one of the estates.
    pub fn is_estate(&self, namespace: &str) -> bool {
        self.estates.iter().any(|estate| estate == namespace)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let refuse = |text: String| Err(ConfigError::Value(text));
        if let Some(name) = self.estates.iter().chain([&self.operator_namespace]).find(|n| !is_dns_label(n)) {
            return refuse(format!(
                "\"{name}\" is not the name of a namespace; use lower-case letters, digits and '-'"
            ));
        }
        if self.is_estate(&self.operator_namespace) {
            return refuse("the operator's own namespace is listed in 'estates'; use another namespace".to_owned());
        }
        if self.image.is_empty() {
            return refuse("'image' is empty; name the image for Jobs".to_owned());
        }
        if !self.store_url.starts_with("https://") {
            return refuse("'storeUrl' must begin with https://".to_owned());
        }
        if self.scan.allow_metadata_endpoint && self.estates.len() != 1 {
            return refuse("'scan.allowMetadataEndpoint' is true, so 'estates' must list exactly one namespace: the node's identity must not be shared between tenants".to_owned());
        }
        if self.limits.scan_deadline_seconds < 10 || self.limits.max_requests < 10 {
            return refuse("'limits.scanDeadlineSeconds' and 'limits.maxRequests' must be at least 10".to_owned());
        }
        Ok(())
    }
}

fn is_dns_label(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(inner) && !name.starts_with('-') && !name.ends_with('-')
}

fn default_pull_policy() -> String {
    "IfNotPresent".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const MINIMAL: &str =
        "operatorNamespace: securityv0-system\nimage: i:1\nestates: [team-a]\nstoreUrl: https://s:8443\n";

    #[test]
    fn the_whole_file_is_understood() {
        let text = "
operatorNamespace: securityv0-system
image: securityv0.local/operator:abc
imagePullPolicy: Never
imagePullSecrets: [registry]
estates: [team-a, team-b]
storeUrl: https://securityv0-store.securityv0-system.svc:8443
limits: {parallelScans: 2, scanDeadlineSeconds: 100, maxRequests: 50, maxFindings: 7}
evaluation: {quietSeconds: 1, maxDelaySeconds: 2}
network: {trustedCA: pem, privateHosts: [a.b], proxy: 'http://p:1', hostAliases: [{ip: 10.0.0.1, hostnames: [a.b]}]}
scanPods: {resources: {limits: {memory: 512Mi}}, nodeSelector: {a: b}, tolerations: [{key: k, operator: Exists}]}
evaluatePods: {resources: {requests: {cpu: 100m}}}
";
        let config = Config::parse(text).unwrap();
        assert_eq!(config.limits.parallel_scans, 2);
        assert_eq!(config.network.trusted_ca, "pem");
        assert_eq!(config.scan_pods.tolerations.len(), 1);
        assert!(config.is_estate("team-b") && !config.is_estate("team-c"));
    }

    #[rstest]
    #[case("1200", Some(100))]
    #[case("12Ki", Some(1024))]
    #[case("3Gi", Some(256 << 20))]
    #[case("12M", Some(1_000_000))]
    #[case("1.5Gi", None)]
    #[case("", None)]
    #[case("99999999999Ti", None)]
    fn the_bound_on_snapshots_follows_the_memory(#[case] memory: &str, #[case] expected: Option<u64>) {
        let config =
            Config::parse(&format!("{MINIMAL}evaluatePods: {{resources: {{limits: {{memory: '{memory}'}}}}}}\n"));
        assert_eq!(config.unwrap().evaluate_pods.max_snapshot_bytes(), expected);
        assert_eq!(Config::parse(MINIMAL).unwrap().evaluate_pods.max_snapshot_bytes(), None);
    }

    #[test]
    fn the_node_is_closed_unless_it_is_opened() {
        assert!(!Config::parse(MINIMAL).unwrap().scan.allow_metadata_endpoint);
        let open = Config::parse(&format!("{MINIMAL}scan: {{allowMetadataEndpoint: true}}\n"));
        assert!(open.unwrap().scan.allow_metadata_endpoint);
    }

    #[test]
    fn defaults() {
        let config = Config::parse(MINIMAL).unwrap();
        assert_eq!((config.limits.parallel_scans, config.evaluation.quiet_seconds), (4, 600));
        assert_eq!(config.image_pull_policy, "IfNotPresent");
    }

    #[rstest]
    #[case::typo("limit: {}", "unknown field")]
    #[case::deep_typo("limits: {paralelScans: 3}", "unknown field")]
    #[case::negative("limits: {parallelScans: -1}", "expected u32")]
    #[case::plain_http("storeUrl: http://s", "https://")]
    #[case::estate_name("estates: [Team_A]", "not the name of a namespace")]
    #[case::own_namespace("estates: [securityv0-system]", "own namespace")]
    #[case::node_for_two("estates: [team-a, team-b]\nscan: {allowMetadataEndpoint: true}", "exactly one namespace")]
    #[case::node_for_none("estates: []\nscan: {allowMetadataEndpoint: true}", "exactly one namespace")]
    #[case::no_image("image: ''", "'image' is empty")]
    fn refused(#[case] line: &str, #[case] expected: &str) {
        let key = line.split(':').next().unwrap();
        let kept: Vec<&str> = MINIMAL.lines().filter(|l| !l.starts_with(key)).collect();
        let error = Config::parse(&format!("{}\n{line}\n", kept.join("\n"))).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
