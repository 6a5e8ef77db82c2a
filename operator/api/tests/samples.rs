//! The shipped samples are what the types and rules accept.

// A test may stop by panicking, also in its support functions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::core::cel::validate_cel;
use sv0_api::{ConnectorInstance, Estate, FindingException, ScanSchedule};

fn samples() -> BTreeMap<String, serde_yaml::Value> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/samples"));
    let entries = std::fs::read_dir(folder).expect("config/samples");
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, serde_yaml::from_str(&std::fs::read_to_string(&path).unwrap()).expect("YAML"))
    };
    entries.map(|entry| read(entry.unwrap().path())).collect()
}

#[test]
fn every_sample_is_accepted() {
    let mut kinds = BTreeMap::<String, usize>::new();
    for (file, yaml) in samples() {
        let kind = yaml["kind"].as_str().expect("a kind").to_owned();
        match kind.as_str() {
            "ConnectorInstance" => {
                let object: ConnectorInstance = serde_yaml::from_value(yaml).expect("readable");
                assert!(validate_cel(&object).is_ok(), "{file}: {:?}", validate_cel(&object));
                assert_eq!(object.spec.service_account_name, "scan-entra", "{file} uses the sample account");
            }
            "ScanSchedule" => {
                let object: ScanSchedule = serde_yaml::from_value(yaml).expect("readable");
                assert!(validate_cel(&object).is_ok(), "{file}: {:?}", validate_cel(&object));
            }
            "Estate" => {
                let object: Estate = serde_yaml::from_value(yaml).expect("readable");
                assert!(validate_cel(&object).is_ok(), "{file}: {:?}", validate_cel(&object));
                assert_eq!(object.spec, sv0_api::EstateSpec::default(), "{file} says that it shows the defaults");
            }
            "FindingException" => {
                let object: FindingException = serde_yaml::from_value(yaml).expect("readable");
                assert!(validate_cel(&object).is_ok(), "{file}: {:?}", validate_cel(&object));
            }
            "ServiceAccount" => {
                let object: ServiceAccount = serde_yaml::from_value(yaml).expect("readable");
                assert_eq!(object.metadata.labels.unwrap()["securityv0.com/scan"], "true");
                assert_eq!(object.metadata.name.as_deref(), Some("scan-entra"));
            }
            "Secret" => {
                let object: Secret = serde_yaml::from_value(yaml).expect("readable");
                let keys: Vec<String> = object.string_data.unwrap().into_keys().collect();
                assert_eq!(keys, ["clientSecret", "target"]);
                assert!(object.metadata.name.unwrap().starts_with("sv0-"));
            }
            other => panic!("{file}: no check for the kind {other}"),
        }
        *kinds.entry(kind).or_default() += 1;
    }
    assert_eq!(kinds.values().sum::<usize>(), 10, "{kinds:?}");
}
