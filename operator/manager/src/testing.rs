//! Values for tests: an instance, configurations, a store.

use sv0_api::ConnectorInstance;
use sv0_protocol::StoreAccess;

use crate::config::Config;

pub(crate) fn instance(auth: &str) -> ConnectorInstance {
    serde_json::from_str(&format!(
        r#"{{"apiVersion": "securityv0.com/v1alpha1", "kind": "ConnectorInstance",
            "metadata": {{"name": "corp", "namespace": "team-a", "uid": "0b7f0f2e-0000-4000-8000-000000000001", "generation": 1}},
            "spec": {{"system": "Entra", "serviceAccountName": "entra-scan",
                "entra": {{"tenantId": "11111111-1111-4111-8111-111111111111", "clientId": "22222222-2222-4222-8222-222222222222", "auth": {auth}}}}}}}"#
    ))
    .unwrap()
}

pub(crate) fn store() -> StoreAccess {
    StoreAccess { url: "https://securityv0-store.securityv0-system.svc:8443".into(), ca_pem: "PEM".into() }
}

pub(crate) fn config() -> Config {
    Config::parse(
        "{operatorNamespace: securityv0-system, image: 'securityv0.local/operator:abc', estates: [team-a], storeUrl: 'https://s:8443'}",
    )
    .unwrap()
}

pub(crate) fn full_config() -> Config {
    Config::parse(
        "
operatorNamespace: securityv0-system
image: securityv0.local/operator:abc
imagePullPolicy: Never
imagePullSecrets: [registry]
estates: [team-a]
storeUrl: https://s:8443
network: {trustedCA: CA-PEM, privateHosts: [login.example], proxy: 'http://proxy:3128', hostAliases: [{ip: 10.0.0.9, hostnames: [login.example]}]}
scanPods: {resources: {requests: {cpu: 50m, memory: 64Mi}, limits: {memory: 512Mi}}, nodeSelector: {pool: scans}, tolerations: [{key: scans, operator: Exists}]}
evaluatePods: {resources: {limits: {memory: 4Gi}}}
",
    )
    .unwrap()
}
