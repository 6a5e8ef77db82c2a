//! How values and edges are read from lines: takes JSON, gives values by their form, and edges whose texts stay in the
//! line where they can. May not: differ from what the rows in the model say.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::model::{EdgeKind, EdgeRow, EdgeState, NodeId, Value};

impl<'de> Deserialize<'de> for Value {
    /// By the form of the JSON value. Derived, it would try one form after the other and make an error of each that does
    /// not fit, for every fact that is read.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("yes or no, a whole number, a text or a list of texts")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        i64::try_from(value).map(Value::Int).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = items.next_element()? {
            texts.push(text);
        }
        Ok(Value::List(texts))
    }
}

/// An [`EdgeRow`] whose texts stand elsewhere: a line that is being read, or a row. Its fields are those of the row, in
/// their order, so that both compare alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EdgeView<'a> {
    #[serde(borrow)]
    pub(crate) from: Text<'a>,
    pub(crate) kind: EdgeKind,
    #[serde(borrow)]
    pub(crate) to: Text<'a>,
    pub(crate) op: u16,
    #[serde(borrow, default)]
    pub(crate) object: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) role: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) scope: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) condition: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) state: EdgeState,
    #[serde(default)]
    pub(crate) since: Option<jiff::Timestamp>,
    #[serde(default)]
    pub(crate) until: Option<jiff::Timestamp>,
}

/// A text that is borrowed where it has no escapes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'a> EdgeView<'a> {
    pub(crate) fn of(row: &'a EdgeRow) -> Self {
        let text = |text: &'a str| Text(Cow::Borrowed(text));
        let option = |option: &'a Option<String>| option.as_deref().map(text);
        Self {
            from: text(row.from.as_str()),
            kind: row.kind,
            to: text(row.to.as_str()),
            op: row.op,
            object: option(&row.object),
            role: option(&row.role),
            scope: option(&row.scope),
            condition: option(&row.condition),
            state: row.state,
            since: row.since,
            until: row.until,
        }
    }

    pub(crate) fn to_row(&self) -> EdgeRow {
        let option = |option: &Option<Text<'_>>| option.as_deref().map(str::to_owned);
        EdgeRow {
            from: NodeId(self.from.to_string()),
            kind: self.kind,
            to: NodeId(self.to.to_string()),
            op: self.op,
            object: option(&self.object),
            role: option(&self.role),
            scope: option(&self.scope),
            condition: option(&self.condition),
            state: self.state,
            since: self.since,
            until: self.until,
        }
    }
}
