//! How a vendor misbehaves. Takes a good answer; gives the bad one. Pure.

use serde_json::{Map, Value, json};
use sv0_connector::Operation;

use crate::{CANARY, STRANGER};

/// Most bytes of an answer in these tests.
pub(crate) const MAX_BYTES: usize = 256 * 1024;
/// A word that no version of the vendor's documents has.
const UNKNOWN_WORD: &str = "aWordOfTomorrow";

/// A way to misbehave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 403: a permission is not granted.
    Forbidden,
    /// 403 in the words of a missing licence.
    Unlicensed,
    /// 404: what was asked for is not there any more.
    Gone,
    /// 429 to the end.
    Throttled,
    /// 500 to the end.
    Down,
    /// The last page of a list answers 500 to the end.
    LastPageFails,
    /// A list ends before its last page, without a word.
    LastPageLost,
    /// Every page leads to the same next page.
    RepeatedCursor,
    /// No JSON.
    NotJson,
    /// JSON that ends in the middle.
    Truncated,
    /// Nested beyond reason.
    Deep,
    /// Larger than the bound.
    Huge,
    /// All listed fields have another type.
    WrongTypes,
    /// Every row twice, and one that nobody asked for where ids were asked for.
    ExtraRows,
    /// Words that are not documented, in the fields that hold words.
    UnknownWords,
    /// A field has another type.
    WrongField(String),
    /// A field is missing.
    WithoutField(String),
    /// A list inside each row has an element more, which is nothing of its kind.
    BrokenItem(String),
}

impl Fault {
    /// Whether what a list says cannot be whole after it.
    pub(crate) fn hurts(&self) -> bool {
        !matches!(self, Self::ExtraRows | Self::UnknownWords | Self::WrongField(_) | Self::WithoutField(_))
    }

    /// Status and code of an error answer.
    pub(crate) fn status(&self) -> Option<(u16, &'static str)> {
        match self {
            Self::Forbidden => Some((403, "Authorization_RequestDenied")),
            Self::Unlicensed => Some((403, "Authentication_RequestFromNonPremiumTenantOrB2CTenant")),
            Self::Gone => Some((404, "Request_ResourceNotFound")),
            Self::Throttled => Some((429, "TooManyRequests")),
            Self::Down => Some((500, "InternalServerError")),
            _ => None,
        }
    }

    /// Spoils an answer. `None` when there was nothing to spoil.
    pub(crate) fn spoil(&self, operation: &Operation, words: &[&str], body: &Value) -> Option<Body> {
        let text = || body.to_string();
        let changed = |change: &dyn Fn(&mut Map<String, Value>)| {
            let mut body = body.clone();
            rows(operation, &mut body).into_iter().for_each(change);
            Body::Json(body)
        };
        let spoilt = match self {
            Self::NotJson => Body::Raw(format!("<html>{CANARY}</html>")),
            Self::Truncated => Body::Raw(text()[..text().len() / 2].to_owned()),
            Self::Deep => with(body, "deep", (0..64).fold(json!(1), |inside, _| json!([inside]))),
            Self::Huge => with(body, "huge", json!("x".repeat(MAX_BYTES + 1))),
            Self::WrongTypes => changed(&|row| {
                for field in listed(operation) {
                    wrong(row, field);
                }
            }),
            Self::WrongField(field) => changed(&|row| wrong(row, field)),
            Self::WithoutField(field) => changed(&|row| {
                row.remove(field);
            }),
            Self::BrokenItem(field) => changed(&|row| match row.get_mut(field) {
                Some(Value::Array(items)) => items.push(json!(CANARY)),
                _ => drop(row.insert(field.clone(), json!([CANARY]))),
            }),
            Self::UnknownWords => {
                let mut body = body.clone();
                reword(&mut body, words);
                Body::Json(body)
            }
            Self::ExtraRows => more(operation, body),
            _ => return None,
        };
        (spoilt != Body::Json(body.clone())).then_some(spoilt)
    }
}

/// A body as it is sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    Json(Value),
    Raw(String),
}

/// The fields that a row may have; of an envelope its own.
fn listed(operation: &Operation) -> Vec<&str> {
    if operation.inner.is_empty() {
        operation.fields.iter().map(String::as_str).collect()
    } else {
        vec!["id", "status", "body"]
    }
}

/// The rows of an answer: items of a list, parts of an envelope, or the one object.
fn rows<'a>(operation: &Operation, body: &'a mut Value) -> Vec<&'a mut Map<String, Value>> {
    let name = if operation.inner.is_empty() { "value" } else { "responses" };
    if body.get(name).is_some_and(Value::is_array) {
        let items = body.get_mut(name).and_then(Value::as_array_mut);
        return items.into_iter().flatten().filter_map(Value::as_object_mut).collect();
    }
    body.as_object_mut().into_iter().collect()
}

fn with(body: &Value, name: &str, value: Value) -> Body {
    let mut body = body.clone();
    if let Some(object) = body.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
    Body::Json(body)
}

fn wrong(row: &mut Map<String, Value>, field: &str) {
    if let Some(value) = row.get_mut(field) {
        *value = match value {
            Value::String(_) | Value::Null => json!({"not": ["this"]}),
            Value::Bool(_) | Value::Number(_) => json!(["not", "this"]),
            Value::Array(_) | Value::Object(_) => json!(7),
        };
    }
}

fn reword(value: &mut Value, words: &[&str]) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| reword(item, words)),
        Value::Object(object) => {
            for (name, value) in object {
                if words.contains(&name.as_str()) && value.is_string() {
                    *value = json!(UNKNOWN_WORD);
                } else {
                    reword(value, words);
                }
            }
        }
        _ => {}
    }
}

fn more(operation: &Operation, body: &Value) -> Body {
    let mut body = body.clone();
    let asks_for_ids = operation.query.values().any(|value| value.contains("{ids}"));
    let name = if operation.inner.is_empty() { "value" } else { "responses" };
    if let Some(items) = body.get_mut(name).and_then(Value::as_array_mut) {
        let mut again = items.clone();
        if let Some(stranger) = again.first().cloned().filter(|_| asks_for_ids) {
            let Body::Json(stranger) = with(&stranger, "id", json!(STRANGER)) else { return Body::Json(body) };
            again.push(stranger);
        }
        items.append(&mut again);
    }
    Body::Json(body)
}
