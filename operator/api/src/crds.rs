//! The `CustomResourceDefinitions` as files: what the types say, with what `derive` cannot say added.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use serde_yaml::Value;

use crate::{ConnectorInstance, Estate, Finding, FindingException, ScanSchedule};

/// One generated file.
pub struct Generated {
    /// Path from the repository's root.
    pub path: String,
    /// Its whole content.
    pub content: String,
}

/// All kinds, in alphabetical order.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut crds =
        vec![ConnectorInstance::crd(), Estate::crd(), Finding::crd(), FindingException::crd(), ScanSchedule::crd()];
    for crd in &mut crds {
        for version in &mut crd.spec.versions {
            if let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
                forbid_null(schema);
                if crd.spec.names.kind == "Finding" {
                    make_spec_atomic(schema);
                }
            }
        }
    }
    crds
}

/// The manifests in `crds/` and the templates of the CRD chart.
///
/// # Errors
/// When a definition cannot be written as YAML.
pub fn generated_files() -> Result<Vec<Generated>, serde_yaml::Error> {
    let mut files = Vec::new();
    for crd in crds() {
        let name = &crd.spec.names.plural;
        let mut value = serde_yaml::to_value(&crd)?;
        whole_numbers(&mut value);
        let yaml = serde_yaml::to_string(&value)?;
        files.push(Generated { path: format!("crds/{name}.yaml"), content: yaml.clone() });
        files.push(Generated {
            path: format!("charts/securityv0-crds/templates/{name}.yaml"),
            content: chart_template(&yaml),
        });
    }
    Ok(files)
}

/// The manifest as a template: kept when the chart is uninstalled, since deleting a definition deletes every object.
fn chart_template(yaml: &str) -> String {
    yaml.replacen("metadata:\n", "metadata:\n  annotations:\n    helm.sh/resource-policy: keep\n", 1)
}

/// Bounds are floating-point numbers in the schema's type: `1.0` becomes `1`, as people and other tools write it.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(float) = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0)
                && let Ok(whole) = format!("{float:.0}").parse::<i64>()
            {
                *value = Value::from(whole);
            }
        }
        Value::Sequence(items) => items.iter_mut().for_each(whole_numbers),
        Value::Mapping(entries) => entries.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

/// An optional field may be left out, but not be `null`: `has()` in validation rules counts a `null` as present.
fn forbid_null(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    for property in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        forbid_null(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        forbid_null(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        forbid_null(values);
    }
}

/// A Finding is written as a whole by one writer: an atomic spec keeps `managedFields` at one entry instead of one per field.
fn make_spec_atomic(schema: &mut JSONSchemaProps) {
    if let Some(spec) = schema.properties.as_mut().and_then(|properties| properties.get_mut("spec")) {
        spec.x_kubernetes_map_type = Some("atomic".to_owned());
    }
}
