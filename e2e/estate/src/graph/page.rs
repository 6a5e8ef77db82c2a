//! Page tokens: opaque to clients, signed, bound to the list they belong to, with a life.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::reply::GraphError;

const SIGNATURE_BYTES: usize = 16;

/// Where a list goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// Path and options of the list.
    pub(crate) list: String,
    /// Rows already given.
    pub(crate) offset: usize,
    /// The estate that the rows belong to.
    pub(crate) generation: u64,
    /// When the token was given, epoch seconds.
    pub(crate) given: i64,
    /// Objects that this list does not show, because the replica that answers it does not have them yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) without: Vec<String>,
    /// Makes each token of an endless list different.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) salt: Option<String>,
}

impl Cursor {
    /// The token.
    pub(crate) fn seal(&self, secret: &[u8]) -> String {
        let payload = serde_json::to_vec(self).unwrap_or_default();
        let mut bytes = sign(secret, &payload);
        bytes.extend(payload);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Opens a token of the list `list`; `life` is how long tokens live, `now` and `generation` are the present.
    pub(crate) fn open(
        token: &str,
        secret: &[u8],
        list: &str,
        (now, life): (i64, i64),
        generation: u64,
    ) -> Result<Self, GraphError> {
        let bad = || GraphError::bad_request("The specified page token value is not valid for this request.");
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| bad())?;
        let (signature, payload) = bytes.split_at_checked(SIGNATURE_BYTES).ok_or_else(bad)?;
        if sign(secret, payload) != signature {
            return Err(bad());
        }
        let cursor: Self = serde_json::from_slice(payload).map_err(|_| bad())?;
        if cursor.list != list {
            return Err(bad());
        }
        if cursor.generation != generation || now - cursor.given > life {
            return Err(GraphError::expired_page());
        }
        Ok(cursor)
    }
}

fn sign(secret: &[u8], payload: &[u8]) -> Vec<u8> {
    let digest = Sha256::new().chain_update(secret).chain_update(payload).chain_update(secret).finalize();
    digest[..SIGNATURE_BYTES].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_tokens_of_this_list_in_time() {
        let cursor = Cursor {
            list: "a".to_owned(),
            offset: 3,
            generation: 1,
            given: 100,
            without: vec!["x".to_owned()],
            salt: None,
        };
        let token = cursor.seal(b"key");
        let open = |token: &str, key: &[u8], list: &str, now, generation| {
            Cursor::open(token, key, list, (now, 60), generation)
        };
        assert_eq!(open(&token, b"key", "a", 120, 1).unwrap(), cursor);
        assert!(open(&token, b"other", "a", 120, 1).is_err());
        assert!(open(&token, b"key", "b", 120, 1).is_err());
        assert!(open(&token, b"key", "a", 200, 1).is_err());
        assert!(open(&token, b"key", "a", 120, 2).is_err());
        assert!(open("%%%", b"key", "a", 120, 1).is_err());
        assert!(open("", b"key", "a", 120, 1).is_err());
    }
}
