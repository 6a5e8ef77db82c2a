//! What of an answer may be written down: the manifest's `fields` of the operation and, inside them, its `nested`. An
//! allow-list: whatever is not named is gone, and key material is gone even where it is named. Pure.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::format::page_query;
use crate::guard::{Guard, Prepared};
use crate::manifest::{Manifest, Only, Operation};
use crate::text;

/// Never written, whatever a manifest says.
const NEVER: [&str; 3] = ["key", "hint", "secretText"];
/// The name of a type, which decides how an item is read.
const TYPE: &str = "@odata.type";
const NEXT: &str = "@odata.nextLink";
const COUNT: &str = "@odata.count";
/// Stands for a link that the guard does not follow; it is not followed in a replay either.
const ELSEWHERE: &str = "elsewhere";
/// Longest code of a vendor that is kept.
const MAX_CODE: usize = 128;

/// Reduces answers, and notes where the manifest says too little.
pub(super) struct Reducer<'a> {
    guard: &'a Guard,
    /// Fields with objects inside of which the manifest names nothing.
    pub(super) unlisted: BTreeSet<String>,
}

impl<'a> Reducer<'a> {
    pub(super) fn new(guard: &'a Guard) -> Self {
        Self { guard, unlisted: BTreeSet::new() }
    }

    /// What is kept of the answer to `request`.
    pub(super) fn answer(&mut self, request: &Prepared, body: Value) -> Value {
        if request.inner.is_empty() { self.plain(request, body) } else { self.envelope(request, body) }
    }

    fn envelope(&mut self, request: &Prepared, body: Value) -> Value {
        let Value::Object(mut body) = body else { return Value::Null };
        let Some(Value::Array(parts)) = body.remove("responses") else { return Value::Object(Map::new()) };
        let parts: Vec<Value> = parts.into_iter().map(|part| self.part(request, part)).collect();
        Value::Object(Map::from_iter([("responses".to_owned(), Value::Array(parts))]))
    }

    fn part(&mut self, request: &Prepared, part: Value) -> Value {
        let Value::Object(mut part) = part else { return Value::Null };
        let mut kept = Map::new();
        let place = part.get("id").and_then(Value::as_str).and_then(|id| id.parse::<usize>().ok());
        let status = part.get("status").and_then(Value::as_u64);
        for name in ["id", "status"] {
            kept.extend(part.remove(name).map(|value| (name.to_owned(), scalar(value))));
        }
        if let Some(Value::Object(headers)) = part.remove("headers") {
            let wait = headers.into_iter().filter(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
            kept.insert("headers".to_owned(), Value::Object(wait.map(|(name, value)| (name, scalar(value))).collect()));
        }
        let body = part.remove("body");
        let inner = place.and_then(|place| request.inner.get(place));
        if let Some((body, inner)) = body.zip(inner) {
            let good = status.is_some_and(|status| (200..300).contains(&status));
            let body = if good { self.plain(inner, body) } else { error(&body) };
            kept.insert("body".to_owned(), body);
        }
        Value::Object(kept)
    }

    fn plain(&mut self, request: &Prepared, body: Value) -> Value {
        let guard = self.guard;
        let operation = &guard.manifest().operations[request.operation];
        let Value::Object(mut body) = body else { return Value::Null };
        if !body.contains_key("value") {
            return self.item(operation, body);
        }
        let mut kept = Map::new();
        if let Some(value) = body.remove("value") {
            let items = match value {
                Value::Array(items) => Value::Array(
                    items
                        .into_iter()
                        .map(|item| match item {
                            Value::Object(item) => self.item(operation, item),
                            _ => Value::Null,
                        })
                        .collect(),
                ),
                _ => Value::Null,
            };
            kept.insert("value".to_owned(), items);
        }
        if let Some(link) = body.remove(NEXT) {
            kept.insert(NEXT.to_owned(), self.link(request, link));
        }
        kept.extend(body.remove(COUNT).map(|count| (COUNT.to_owned(), scalar(count))));
        Value::Object(kept)
    }

    fn link(&self, request: &Prepared, link: Value) -> Value {
        match link {
            Value::String(link) => match self.guard.follow(request, &link) {
                Ok(next) => page_query(&next).into(),
                Err(_) => ELSEWHERE.into(),
            },
            other => scalar(other),
        }
    }

    fn item(&mut self, operation: &Operation, item: Map<String, Value>) -> Value {
        let kept = |name: &str| name == TYPE || operation.fields.iter().any(|field| field == name);
        self.object(item, kept)
    }

    fn object(&mut self, object: Map<String, Value>, kept: impl Fn(&str) -> bool) -> Value {
        let kept = |name: &str| !NEVER.contains(&name) && kept(name);
        let entries: Vec<_> = object.into_iter().filter(|(name, _)| kept(name)).collect();
        Value::Object(entries.into_iter().map(|(name, value)| (name.clone(), self.inside(&name, value))).collect())
    }

    /// What is kept inside of a field.
    fn inside(&mut self, field: &str, value: Value) -> Value {
        match value {
            Value::Array(items) => Value::Array(items.into_iter().map(|item| self.inside(field, item)).collect()),
            Value::Object(object) => {
                let manifest: &Manifest = self.guard.manifest();
                let Some(nested) = manifest.nested.get(field) else {
                    self.unlisted.insert(field.to_owned());
                    return Value::Object(Map::new());
                };
                let object = match manifest.nested_only.get(field) {
                    Some(only) => some(only, object),
                    None => object,
                };
                self.object(object, |name| name == TYPE || nested.iter().any(|kept| kept == name))
            }
            scalar => scalar,
        }
    }
}

/// An object without what is kept of others only.
fn some(only: &Only, mut object: Map<String, Value>) -> Map<String, Value> {
    let fits = object.get(&only.by).and_then(Value::as_str) == Some(only.is.as_str());
    for field in &only.fields {
        if !fits {
            object.remove(field);
        } else if let (Some(at), Some(Value::String(told))) = (&only.cut_at, object.get_mut(field)) {
            // What is no such list stays none.
            *told = text::listed(told).map_or_else(String::new, |texts| cut(&texts, at));
        }
    }
    object
}

fn cut(texts: &[String], at: &str) -> String {
    let kept = texts.iter().map(|text| match text.split_once(at) {
        Some((before, rest)) => format!("{before}{}", if rest.trim_end().ends_with(']') { "]" } else { "" }),
        None => text.clone(),
    });
    Value::Array(kept.map(Value::String).collect()).to_string()
}

/// Something that is no list and no object, or nothing.
fn scalar(value: Value) -> Value {
    if value.is_array() || value.is_object() { Value::Null } else { value }
}

/// Of an error only its code.
fn error(body: &Value) -> Value {
    let code = body.pointer("/error/code").and_then(Value::as_str).map(code).unwrap_or_default();
    serde_json::json!({ "error": { "code": code } })
}

/// A vendor's code, when it has the form of one: never a sentence.
pub(super) fn code(code: &str) -> &str {
    let fits =
        code.len() <= MAX_CODE && code.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if fits { code } else { "" }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rstest::rstest;
    use serde_json::json;
    use url::Url;

    use super::*;
    use crate::guard::Param;
    use crate::manifest::tests::SMALL;

    const MORE: &str = "nested: {parts: [id, secretText], owner: [id], changes: [name, value]}";
    const ONLY: &str = "nestedOnly: {changes: {where: name, is: Key, fields: [value], cutAt: ',Name='}}";

    fn guard() -> Guard {
        let yaml = SMALL
            .replace("nested: {a: [b, c]}", MORE)
            .replace("nestedOnly: {a: {where: b, is: x, fields: [c]}}", ONLY)
            .replace(
                "paging: odataNextLink,",
                "paging: odataNextLink, fields: [id, parts, owner, loose, key, changes],",
            )
            .replace(
                "collection: parts, permission: Thing.Read, revision: 1}\n  - {id: byKey",
                "collection: parts, permission: Thing.Read, fields: [name], revision: 1}\n  - {id: byKey",
            );
        let manifest = Arc::new(Manifest::parse(&yaml).unwrap());
        Guard::new(manifest, [("api".to_owned(), Url::parse("https://api.example.com").unwrap())].into(), 2)
    }

    fn list(body: Value) -> (Value, BTreeSet<String>) {
        let guard = guard();
        let mut reducer = Reducer::new(&guard);
        let request = guard.prepare("listThings", &[]).unwrap();
        (reducer.answer(&request, body), reducer.unlisted)
    }

    #[rstest]
    #[case::unnamed(json!({"value": [{"id": 1, "name": "x"}], "more": 1}), json!({"value": [{"id": 1}]}))]
    #[case::inside(json!({"value": [{"parts": [{"id": 1, "x": 2}], "owner": {"id": [3], "y": 4}}]}), json!({"value": [{"parts": [{"id": 1}], "owner": {"id": [3]}}]}))]
    #[case::key_material(json!({"value": [{"key": "k", "parts": [{"secretText": "s"}]}]}), json!({"value": [{"parts": [{}]}]}))]
    #[case::of_some(json!({"value": [{"changes": [{"name": "Else", "value": "v"}, {"value": "v"}, {"name": ["Key"], "value": "v"}]}]}), json!({"value": [{"changes": [{"name": "Else"}, {}, {"name": ["Key"]}]}]}))]
    #[case::cut(json!({"value": [{"changes": [{"name": "Key", "value": "[\"[Id=1,Name=a,Name=b]\", \"[Id=2]\", \"[Id=3,Name=c\"]"}]}]}), json!({"value": [{"changes": [{"name": "Key", "value": "[\"[Id=1]\",\"[Id=2]\",\"[Id=3\"]"}]}]}))]
    #[case::cut_from_nothing(json!({"value": [{"changes": [{"name": "Key", "value": "[Id=1,Name=a]"}, {"name": "Key", "value": null}]}]}), json!({"value": [{"changes": [{"name": "Key", "value": ""}, {"name": "Key", "value": null}]}]}))]
    #[case::types(json!({"value": [{"@odata.type": "#a", "owner": {"@odata.type": "#b"}}]}), json!({"value": [{"@odata.type": "#a", "owner": {"@odata.type": "#b"}}]}))]
    #[case::no_list(json!({"value": {"id": 1}}), json!({"value": null}))]
    #[case::no_items(json!({"value": ["free text", ["id"]], "@odata.count": 7}), json!({"value": [null, null], "@odata.count": 7}))]
    #[case::single(json!({"id": 1, "name": "x"}), json!({"id": 1}))]
    #[case::nothing(json!("free text"), json!(null))]
    #[case::elsewhere(json!({"value": [], "@odata.nextLink": "https://evil.example.com/v1/things?t=secret"}), json!({"value": [], "@odata.nextLink": "elsewhere"}))]
    fn only_what_is_named_is_kept(#[case] body: Value, #[case] kept: Value) {
        assert_eq!(list(body), (kept, BTreeSet::new()));
    }

    #[test]
    fn a_field_with_objects_must_say_what_is_kept_inside() {
        let (kept, unlisted) = list(json!({"value": [{"loose": [{"id": 1}]}]}));
        assert_eq!((kept, unlisted), (json!({"value": [{"loose": [{}]}]}), BTreeSet::from(["loose".to_owned()])));
    }

    #[test]
    fn links_become_their_digest() {
        let link = "https://api.example.com/v1/things?$skiptoken=a-person@example.com";
        let (kept, _) = list(json!({"value": [], "@odata.nextLink": link}));
        let stands = kept["@odata.nextLink"].as_str().unwrap();
        assert!(stands.starts_with("$page=") && stands.len() == 38, "{stands}");
        assert_eq!(list(json!({"value": [], "@odata.nextLink": link})).0, kept, "always the same");
    }

    #[test]
    fn an_envelope_keeps_what_its_requests_keep() {
        let guard = guard();
        let inner = guard.prepare("getThing", &[("id", Param::Id("7"))]).unwrap();
        let request = guard.batch("batch", &[inner.clone(), inner]).unwrap();
        let body = json!({"responses": [
            {"id": "0", "status": 200, "headers": {"Retry-After": "1", "request-id": "r"}, "body": {"name": "n", "id": "i"}},
            {"id": "1", "status": 403, "body": {"error": {"code": "Denied", "message": "a person", "innerError": {}}}},
            {"id": "9", "status": 200, "body": {"name": "of nobody"}}], "trace": "t"});
        let kept = json!({"responses": [
            {"id": "0", "status": 200, "headers": {"Retry-After": "1"}, "body": {"name": "n"}},
            {"id": "1", "status": 403, "body": {"error": {"code": "Denied"}}},
            {"id": "9", "status": 200}]});
        assert_eq!(Reducer::new(&guard).answer(&request, body), kept);
    }

    #[rstest]
    #[case("Authorization_RequestDenied", "Authorization_RequestDenied")]
    #[case("Sorry, Ann Other", "")]
    fn codes_are_no_sentences(#[case] told: &str, #[case] kept: &str) {
        assert_eq!(code(told), kept);
    }
}
