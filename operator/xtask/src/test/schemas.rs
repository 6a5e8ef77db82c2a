//! JSON schemas for kubeconform, made from what the API server itself publishes and from our own resource
//! definitions, so that the check needs no network and knows exactly the server under test.
//!
//! They are strict: a field that the server would silently drop is an error.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

/// The file name pattern in kubeconform's words.
pub(super) const LOCATION: &str = "{{.Group}}_{{.ResourceAPIVersion}}_{{.ResourceKind}}.json";

const REF: &str = "#/definitions/";

/// Schemas by file name, from the document (version 2) in which the server describes its API.
pub(super) fn of_server(openapi: &Value) -> Result<BTreeMap<String, Value>> {
    let definitions = openapi["definitions"].as_object().context("the API server published no definitions")?;
    let strict: Map<String, Value> =
        definitions.iter().map(|(name, schema)| (name.clone(), strict(schema, name))).collect();
    let mut files = BTreeMap::new();
    for (name, schema) in definitions {
        for kind in schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
            let text = |field: &str| kind[field].as_str().unwrap_or_default();
            let file = file_name(text("group"), text("version"), text("kind"));
            files.insert(file, json!({"$ref": format!("{REF}{name}"), "definitions": reachable(name, &strict)}));
        }
    }
    Ok(files)
}

/// Schemas by file name, from one manifest file of resource definitions.
pub(super) fn of_definitions(crds: &str) -> Result<BTreeMap<String, Value>> {
    let mut files = BTreeMap::new();
    for document in documents(crds)? {
        let spec = &document["spec"];
        for version in spec["versions"].as_array().into_iter().flatten() {
            let mut schema = version["schema"]["openAPIV3Schema"].clone();
            for field in ["apiVersion", "kind"] {
                schema["properties"][field] = json!({"type": "string"});
            }
            schema["properties"]["metadata"] = json!({"type": "object"});
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let file = file_name(&text(&spec["group"]), &text(&version["name"]), &text(&spec["names"]["kind"]));
            // Metadata is the server's own matter and stays open.
            let mut closed = strict(&schema, "");
            closed["properties"]["metadata"] = json!({"type": "object"});
            files.insert(file, closed);
        }
    }
    Ok(files)
}

/// The documents of a YAML file; empty ones are left out.
pub(super) fn documents(yaml: &str) -> Result<Vec<Value>> {
    use serde::Deserialize as _;
    let parse = |document| Value::deserialize(document).context("not valid YAML");
    let all: Vec<Value> = serde_yaml::Deserializer::from_str(yaml).map(parse).collect::<Result<_>>()?;
    Ok(all.into_iter().filter(|document| !document.is_null()).collect())
}

/// The core group has no name; kubeconform then gives the version twice.
fn file_name(group: &str, version: &str, kind: &str) -> String {
    let group = if group.is_empty() { version } else { group };
    format!("{group}_{version}_{}.json", kind.to_lowercase())
}

/// A definition with everything that it refers to.
fn reachable(root: &str, definitions: &Map<String, Value>) -> Map<String, Value> {
    let mut found = Map::new();
    let mut open: BTreeSet<String> = [root.to_owned()].into();
    while let Some(name) = open.pop_first() {
        if let Some(schema) = definitions.get(&name)
            && !found.contains_key(&name)
        {
            references(schema, &mut open);
            found.insert(name, schema.clone());
        }
    }
    found
}

fn references(schema: &Value, into: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            if let Some(name) = fields.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix(REF)) {
                into.insert(name.to_owned());
            }
            fields.values().for_each(|field| references(field, into));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, into)),
        _ => {}
    }
}

/// The schema in plain JSON Schema, closed against unknown fields.
fn strict(schema: &Value, name: &str) -> Value {
    let Some(fields) = schema.as_object() else { return schema.clone() };
    let int_or_string = fields.get("format").is_some_and(|format| format == "int-or-string")
        || fields.get("x-kubernetes-int-or-string").is_some_and(|flag| flag == true);
    if int_or_string || name.ends_with(".resource.Quantity") {
        return json!({"type": ["string", "number"]});
    }
    let mut closed = Map::new();
    for (field, value) in fields {
        match (field.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                let required = required(fields);
                let property = |(key, value): (&String, &Value)| {
                    let value = strict(value, "");
                    // As the server does: a null field counts as absent.
                    let value =
                        if required.contains(key) { value } else { json!({"anyOf": [value, {"type": "null"}]}) };
                    (key.clone(), value)
                };
                closed.insert(field.clone(), properties.iter().map(property).collect());
            }
            ("items" | "additionalProperties", value) => {
                closed.insert(field.clone(), strict(value, ""));
            }
            (
                "type" | "$ref" | "enum" | "required" | "pattern" | "minimum" | "maximum" | "minLength" | "maxLength"
                | "minItems" | "maxItems",
                value,
            ) => {
                closed.insert(field.clone(), value.clone());
            }
            // Descriptions, CEL rules and list semantics are not for this check.
            _ => {}
        }
    }
    let open = fields.get("x-kubernetes-preserve-unknown-fields").is_some_and(|flag| flag == true)
        || fields.contains_key("additionalProperties");
    if fields.contains_key("properties") && !open {
        closed.insert("additionalProperties".into(), Value::Bool(false));
    }
    Value::Object(closed)
}

fn required(fields: &Map<String, Value>) -> Vec<String> {
    let names = fields.get("required").and_then(Value::as_array).into_iter().flatten();
    names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Value {
        json!({"definitions": {
            "x.Pod": {
                "type": "object",
                "properties": {"spec": {"$ref": "#/definitions/x.Spec"}},
                "x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "Pod"}],
            },
            "x.Spec": {"type": "object", "required": ["port"], "properties": {
                "port": {"type": "string", "format": "int-or-string"},
                "self": {"$ref": "#/definitions/x.Spec"},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            }},
            "x.Other": {"type": "object"},
        }})
    }

    #[test]
    fn each_kind_gets_a_file_with_what_it_refers_to() {
        let files = of_server(&server()).unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), ["v1_v1_pod.json"]);
        let definitions = files["v1_v1_pod.json"]["definitions"].as_object().unwrap();
        assert_eq!(definitions.keys().collect::<Vec<_>>(), ["x.Pod", "x.Spec"]);
        let spec = &definitions["x.Spec"];
        assert_eq!(spec["additionalProperties"], false);
        assert_eq!(spec["properties"]["port"], json!({"type": ["string", "number"]}));
        assert_eq!(spec["properties"]["labels"]["anyOf"][0]["additionalProperties"]["type"], "string");
    }

    #[test]
    fn our_own_kinds_are_closed_but_for_their_metadata() {
        let crd = "spec:\n  group: a.com\n  names: {kind: Thing}\n  versions:\n  - name: v1\n    schema:\n      openAPIV3Schema:\n        type: object\n        properties:\n          spec: {type: object, properties: {a: {type: string}}}\n          any: {type: object, x-kubernetes-preserve-unknown-fields: true, properties: {b: {type: string}}}\n";
        let files = of_definitions(crd).unwrap();
        let schema = &files["a.com_v1_thing.json"];
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["spec"]["anyOf"][0]["additionalProperties"], false);
        assert!(schema["properties"]["any"]["anyOf"][0].get("additionalProperties").is_none());
        assert_eq!(schema["properties"]["metadata"], json!({"type": "object"}));
    }
}
