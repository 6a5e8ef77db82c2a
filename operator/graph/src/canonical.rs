//! Canonical JSON and digests: takes any serializable value, gives the one byte string that stands for it.
//!
//! Object keys are sorted by their bytes, nothing is indented, numbers are integers or what `serde_json` prints for
//! them. The order does not rest on a feature of `serde_json`, so that no other crate of a build can change a digest.

use serde::Serialize;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

/// The canonical bytes of `value`.
pub fn to_canonical_json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::with_capacity(256);
    write(&serde_json::to_value(value)?, &mut out)?;
    Ok(out)
}

/// Lower-case hex of the SHA-256 of `bytes`.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// `sha256:<hex>`, the form in which digests stand in resources and orders.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256_hex(bytes))
}

fn write(value: &Json, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    match value {
        Json::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            out.push(b'{');
            for (i, (key, item)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut *out, key)?;
                out.push(b':');
                write(item, out)?;
            }
            out.push(b'}');
        }
        Json::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(item, out)?;
            }
            out.push(b']');
        }
        scalar => serde_json::to_writer(&mut *out, scalar)?,
    }
    Ok(())
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
