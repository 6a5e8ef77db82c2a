//! Signing keys: of the tenant's token service, and of test issuers.
//!
//! A key is made at start, signs RS256 tokens and publishes its public half as a JWK set. The private half never
//! leaves the process.

use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a key could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Key generation failed.
    #[error("cannot make a signing key: {0}")]
    Generate(#[from] rcgen::Error),
    /// A token could not be signed or the public half not written.
    #[error("cannot sign: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

/// An RSA key that signs tokens.
pub struct SigningKey {
    id: String,
    private: EncodingKey,
    public: Jwk,
}

impl SigningKey {
    /// Makes a key.
    pub fn generate() -> Result<Self, KeyError> {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256)?;
        let private = EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes())?;
        let id = uuid::Uuid::new_v4().simple().to_string();
        let mut public = Jwk::from_encoding_key(&private, Algorithm::RS256)?;
        public.common.key_id = Some(id.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self { id, private, public })
    }

    /// Signs claims as an RS256 token that names this key.
    pub fn sign(&self, claims: &impl Serialize) -> Result<String, KeyError> {
        let header = Header { kid: Some(self.id.clone()), ..Header::new(Algorithm::RS256) };
        Ok(jsonwebtoken::encode(&header, claims, &self.private)?)
    }

    /// The public half.
    pub fn jwks(&self) -> JwkSet {
        JwkSet { keys: vec![self.public.clone()] }
    }

    /// Verifies a token that this key should have signed, with audience and time.
    pub(crate) fn verify<T: DeserializeOwned + Clone>(&self, token: &str, audience: &[&str]) -> Option<T> {
        let key = DecodingKey::from_jwk(&self.public).ok()?;
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_audience(audience);
        validation.validate_nbf = true;
        validation.leeway = 0;
        jsonwebtoken::decode(token, &key, &validation).map(|data| data.claims).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn only_its_own_tokens_for_the_audience_in_time() {
        let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let now = jiff::Timestamp::now().as_second();
        let claims = |aud: &str, exp: i64| json!({"aud": aud, "exp": exp, "nbf": now - 10, "x": 1});
        let good = key.sign(&claims("a", now + 60)).unwrap();
        assert!(key.verify::<Value>(&good, &["a"]).is_some());
        assert!(other.verify::<Value>(&good, &["a"]).is_none());
        assert!(key.verify::<Value>(&good, &["b"]).is_none());
        assert!(key.verify::<Value>(&key.sign(&claims("a", now - 60)).unwrap(), &["a"]).is_none());
    }
}
