//! Canonical JSON and digests: takes any serializable value, gives the one byte string that stands for it.
//!
//! Object keys are sorted by their bytes, nothing is indented, numbers are integers or what `serde_json` prints for
//! them. The order does not rest on a feature of `serde_json`, so that no other crate of a build can change a digest.

mod writer;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use writer::{MARKED, Writer};

/// The canonical bytes of `value`.
pub fn to_canonical_json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::new();
    Canonical::default().json(value, &mut out)?;
    Ok(out)
}

/// Writes one value after the other, and keeps the room that it needs for that: whoever writes thousands has one of these.
#[derive(Debug)]
pub struct Canonical {
    writer: Writer,
    /// Of the object: each field as `"key":value`.
    fields: BTreeMap<Cow<'static, str>, Range<usize>>,
    /// What is only looked at.
    passing: Vec<u8>,
}

impl Default for Canonical {
    fn default() -> Self {
        Self { writer: Writer::new(), fields: BTreeMap::new(), passing: Vec::new() }
    }
}

impl Canonical {
    /// Puts the canonical bytes of `value` into `out`, in place of what is there.
    pub fn json<T: Serialize + ?Sized>(&mut self, value: &T, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        self.fields.clear();
        self.writer.clear();
        value.serialize(&mut self.writer)?;
        out.clear();
        out.reserve(self.writer.len());
        self.writer.read(0..self.writer.len(), out);
        Ok(())
    }

    /// Lower-case hex of the SHA-256 of the canonical bytes of `value`.
    pub fn sha256_hex<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<String, serde_json::Error> {
        let mut passing = std::mem::take(&mut self.passing);
        let written = self.json(value, &mut passing);
        let hex = sha256_hex(&passing);
        self.passing = passing;
        written.map(|()| hex)
    }

    /// Takes up the fields of `value`, instead of those of the one before, for whoever adds fields that depend on its bytes.
    /// Whether it is an object: a list is none, and a variant of an enum.
    pub fn object<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<bool, serde_json::Error> {
        self.fields.clear();
        self.writer.clear();
        value.serialize(&mut self.writer)?;
        self.fields.extend(self.writer.fields.drain(..).map(|field| (field.key, field.at)));
        Ok(!self.fields.is_empty() || self.writer.is_empty_object())
    }

    /// Sets the field `key` of the object.
    pub fn set<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), serde_json::Error> {
        let at = self.writer.field(key, value)?;
        self.fields.insert(Cow::Borrowed(key), at);
        Ok(())
    }

    /// Puts the canonical bytes of the object with all its fields into `out`, in place of what is there.
    pub fn write(&mut self, out: &mut Vec<u8>) {
        out.clear();
        out.reserve(self.writer.len() + self.fields.len());
        out.push(b'{');
        for (nth, at) in self.fields.values().enumerate() {
            if nth > 0 {
                out.push(b',');
            }
            self.writer.read(at.clone(), out);
        }
        out.push(b'}');
    }

    /// Puts the canonical bytes of the last [`marked`] value of the object into `out`, in place of what is there. Whether
    /// there is one.
    pub fn marked(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(at) = self.writer.marked.clone() else { return false };
        out.clear();
        self.writer.read(at, out);
        true
    }

    /// How many JSON values what was written has, those too that were set twice: the entries of all its objects and lists,
    /// one for each that is empty, and one for the whole.
    pub const fn values(&self) -> u64 {
        self.writer.values().saturating_add(1)
    }
}

/// For a field's `serialize_with`: [`Canonical::marked`] gives what was written, and nothing else is changed by it.
pub fn marked<T: Serialize, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_newtype_struct(MARKED, value)
}

/// Lower-case hex of the SHA-256 of `bytes`.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// `sha256:<hex>`, the form in which digests stand in resources and orders.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256_hex(bytes))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use serde::Serializer;
    use serde_json::{Value as Json, json};

    #[test]
    fn keys_are_sorted_at_every_depth_and_strings_escaped() {
        let value = json!({"b": [{"z": 1, "a": null}], "a": "x\n\"", "é": true});
        let bytes = to_canonical_json(&value).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), r#"{"a":"x\n\"","b":[{"a":null,"z":1}],"é":true}"#);
    }

    /// The same by way of a tree, which is slow and plain.
    fn by_tree(value: &Json, out: &mut String) {
        match value {
            Json::Object(map) => {
                let sorted: BTreeMap<&String, &Json> = map.iter().collect();
                for (at, (key, item)) in sorted.into_iter().enumerate() {
                    out.push(if at == 0 { '{' } else { ',' });
                    out.push_str(&Json::from(key.as_str()).to_string());
                    out.push(':');
                    by_tree(item, out);
                }
                out.push_str(if map.is_empty() { "{}" } else { "}" });
            }
            Json::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    out.push(if at == 0 { '[' } else { ',' });
                    by_tree(item, out);
                }
                out.push_str(if items.is_empty() { "[]" } else { "]" });
            }
            scalar => out.push_str(&scalar.to_string()),
        }
    }

    #[track_caller]
    fn same<T: Serialize + ?Sized>(value: &T) {
        let mut expected = String::new();
        by_tree(&serde_json::to_value(value).unwrap(), &mut expected);
        assert_eq!(String::from_utf8(to_canonical_json(value).unwrap()).unwrap(), expected);
    }

    #[derive(Serialize)]
    enum Every {
        Unit,
        New(u8),
        Tuple(u8, &'static str),
        Struct { z: i64, a: Option<bool> },
    }

    #[derive(Serialize)]
    struct Outer {
        zulu: Inner,
        #[serde(skip_serializing_if = "Option::is_none")]
        absent: Option<u8>,
        #[serde(flatten)]
        more: BTreeMap<&'static str, Every>,
        alpha: Vec<Inner>,
        unit: (),
        pair: (f64, char),
    }

    #[derive(Serialize, Clone)]
    struct Inner {
        two: &'static str,
        one: Option<i32>,
    }

    #[test]
    fn whatever_serde_knows_is_written_as_from_a_tree() {
        let inner = Inner { two: "\u{7f}\u{1}\\é\u{2028}\"", one: None };
        let more = [("v", Every::Struct { z: -1, a: None }), ("b", Every::New(1)), ("t", Every::Tuple(2, "x"))];
        let more = more.into_iter().chain([("u", Every::Unit)]).collect();
        let alpha = vec![inner.clone(), Inner { two: "", one: Some(7) }];
        same(&Outer { zulu: inner, absent: None, more, alpha, unit: (), pair: (0.1, '"') });
        same(&[1.5_f32, 0.1, f32::NAN, f32::INFINITY]);
        same(&(f64::MAX, f64::MIN_POSITIVE, -0.0_f64, 1e21_f64, u64::MAX, i64::MIN, i8::MIN, u128::from(u64::MAX)));
        same(&BTreeMap::from([(10, "ten"), (9, "nine"), (-1, "less")]));
        same(&BTreeMap::from([(true, 1), (false, 0)]));
        same(&Vec::<u8>::new());
        same(&BTreeMap::<String, u8>::new());
        same(&Some("text"));
        same(&Every::Struct { z: 1, a: Some(true) });
        same(&Every::Tuple(1, "y"));
        same(&json!({"deep": [{"b": {"d": 1, "c": [[], {}]}, "a": 1}], "": {"": ""}}));
    }

    #[test]
    fn what_has_no_place_in_json_is_an_error() {
        assert!(to_canonical_json(&BTreeMap::from([(vec![1], 1)])).is_err());
        assert!(to_canonical_json(&u128::MAX).is_err());
    }

    #[test]
    fn of_a_key_that_comes_twice_the_last_stays() {
        struct Twice;
        impl Serialize for Twice {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map([("b", 1), ("a", 2), ("b", 3), ("a", 4)])
            }
        }
        same(&Twice);
        assert_eq!(to_canonical_json(&[Twice]).unwrap(), br#"[{"a":4,"b":3}]"#);
    }

    #[test]
    fn a_field_that_is_added_stands_where_it_belongs() {
        let value = json!({"b": {"d": 1, "c": 2}, "a": [{"z": 1, "y": 2}], "e": "x"});
        let (mut canonical, mut out) = (Canonical::default(), Vec::new());
        assert!(canonical.object(&value).unwrap());
        canonical.write(&mut out);
        assert_eq!(out, to_canonical_json(&value).unwrap());
        canonical.set("b2", &"\"").unwrap();
        canonical.set("e", &json!({"y": 0, "x": 0})).unwrap();
        canonical.set("e", &Inner { two: "z", one: Some(1) }).unwrap();
        canonical.write(&mut out);
        let expected = json!({"b": {"d": 1, "c": 2}, "a": [{"z": 1, "y": 2}], "e": {"one": 1, "two": "z"}, "b2": "\""});
        assert_eq!(out, to_canonical_json(&expected).unwrap());
        assert!(canonical.object(&json!({})).unwrap(), "what was there before is gone");
        canonical.write(&mut out);
        assert_eq!(out, b"{}");
        assert!(!canonical.object(&[value]).unwrap());
        assert!(!canonical.object(&Every::Struct { z: 1, a: None }).unwrap());
    }

    /// Structs whose fields are declared in another order, in each other and in lists, several times with one room.
    #[test]
    fn objects_in_objects_are_each_in_order() {
        #[derive(Serialize)]
        struct Deep {
            z: Vec<Deep>,
            y: Option<Box<Deep>>,
            a: &'static str,
        }
        let leaf = |a| Deep { z: Vec::new(), y: None, a };
        let middle = |a| Deep { z: vec![leaf("1"), leaf("2")], y: Some(Box::new(leaf("3"))), a };
        let all =
            [Deep { z: vec![middle("4"), leaf("5"), middle("6")], y: Some(Box::new(middle("7"))), a: "8" }, leaf("9")];
        let (mut canonical, mut out) = (Canonical::default(), Vec::new());
        for _ in 0..2 {
            for one in &all {
                same(one);
                canonical.json(one, &mut out).unwrap();
                assert_eq!(out, to_canonical_json(one).unwrap());
            }
        }
        same(&all);
    }

    /// At each place of a text that is looked at in pieces.
    #[test]
    fn what_is_escaped_is_escaped_wherever_it_stands() {
        for length in [1, 31, 32, 33, 64, 100] {
            for at in 0..length {
                for byte in ['"', '\\', '\u{1f}', '\u{0}', '\u{7f}', ' ', '\u{e9}'] {
                    same(&format!("{}{byte}{}", "x".repeat(at), "y".repeat(length - at - 1)));
                }
            }
        }
    }

    #[test]
    fn a_marked_value_is_given_as_it_stands_in_the_object() {
        #[derive(Serialize)]
        struct Marking {
            z: Vec<u8>,
            #[serde(serialize_with = "marked")]
            a: Vec<Inner>,
        }
        let value = Marking { z: vec![1], a: vec![Inner { two: "x", one: None }, Inner { two: "y", one: Some(1) }] };
        same(&[&value]);
        let (mut canonical, mut out) = (Canonical::default(), Vec::new());
        assert!(canonical.object(&value).unwrap() && canonical.marked(&mut out));
        assert_eq!(out, to_canonical_json(&value.a).unwrap());
        assert!(canonical.object(&json!({"a": 1})).unwrap() && !canonical.marked(&mut out));
    }

    #[test]
    fn values_are_what_is_between_brackets_and_commas() {
        let mut canonical = Canonical::default();
        assert!(canonical.object(&json!({"a": [1, 2], "b": "[,{", "c": {}, "d": []})).unwrap());
        assert_eq!(canonical.values(), 9);
        canonical.set("e", &1).unwrap();
        assert_eq!(canonical.values(), 10);
    }

    #[test]
    fn digest_is_the_published_test_vector() {
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(digest(b"abc").starts_with("sha256:ba7816bf"));
    }
}
