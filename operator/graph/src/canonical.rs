//! Canonical JSON and digests: takes any serializable value, gives the one byte string that stands for it.
//!
//! Object keys are sorted by their bytes, nothing is indented, numbers are integers or what `serde_json` prints for
//! them. The order does not rest on a feature of `serde_json`, so that no other crate of a build can change a digest.

mod writer;

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

use writer::Writer;

/// The canonical bytes of `value`.
pub fn to_canonical_json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    write(value).map(|writer| writer.out)
}

fn write<T: Serialize + ?Sized>(value: &T) -> Result<Writer, serde_json::Error> {
    let mut writer = Writer::new();
    value.serialize(&mut writer)?;
    Ok(writer)
}

/// The canonical form of an object in pieces, for whoever adds fields to it that depend on its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields(BTreeMap<String, Vec<u8>>);

impl Fields {
    /// The fields of `value`; none of what is not an object, as a list or a variant of an enum is not.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Option<Self>, serde_json::Error> {
        let Writer { out, fields, .. } = write(value)?;
        if fields.is_empty() && out != b"{}" {
            return Ok(None);
        }
        let piece = |at: std::ops::Range<usize>| out.get(at).unwrap_or_default().to_vec();
        Ok(Some(Self(fields.into_iter().map(|field| (field.key.into_owned(), piece(field.at))).collect())))
    }

    /// Sets the field `key`.
    pub fn set<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), serde_json::Error> {
        let mut piece = serde_json::to_vec(key)?;
        piece.push(b':');
        piece.append(&mut write(value)?.out);
        self.0.insert(key.to_owned(), piece);
        Ok(())
    }

    /// The canonical bytes of the object.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.0.values().map(|piece| piece.len() + 1).sum::<usize>() + 2);
        out.push(b'{');
        for (at, piece) in self.0.values().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            out.extend_from_slice(piece);
        }
        out.push(b'}');
        out
    }
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
        let mut fields = Fields::of(&value).unwrap().unwrap();
        assert_eq!(fields.to_json(), to_canonical_json(&value).unwrap());
        fields.set("b2", &"\"").unwrap();
        fields.set("e", &json!({"y": 0, "x": 0})).unwrap();
        let expected = json!({"b": {"d": 1, "c": 2}, "a": [{"z": 1, "y": 2}], "e": {"y": 0, "x": 0}, "b2": "\""});
        assert_eq!(fields.to_json(), to_canonical_json(&expected).unwrap());
        assert_eq!(Fields::of(&json!({})).unwrap().unwrap().to_json(), b"{}");
        assert_eq!(Fields::of(&[value]).unwrap(), None);
        assert_eq!(Fields::of(&Every::Struct { z: 1, a: None }).unwrap(), None);
    }

    #[test]
    fn digest_is_the_published_test_vector() {
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(digest(b"abc").starts_with("sha256:ba7816bf"));
    }
}
