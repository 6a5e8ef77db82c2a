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
    let mut writer = Writer::default();
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
    use super::*;

    #[test]
    fn keys_are_sorted_at_every_depth_and_strings_escaped() {
        let value = serde_json::json!({"b": [{"z": 1, "a": null}], "a": "x\n\"", "é": true});
        let bytes = to_canonical_json(&value).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), r#"{"a":"x\n\"","b":[{"a":null,"z":1}],"é":true}"#);
    }

    #[test]
    fn digest_is_the_published_test_vector() {
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(digest(b"abc").starts_with("sha256:ba7816bf"));
    }
}
