//! The `id_token` of the sign-in that proves a consent: whether it is real, for us, for this sign-in, of this tenant, and
//! of an administrator. Takes the token, the keys of the identity provider and the time; gives who signed in. Pure.

use jsonwebtoken::jwk::{AlgorithmParameters, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

/// Most seconds by which two clocks may differ.
const LEEWAY: i64 = 120;
/// Roles that may consent to application permissions of Microsoft Graph: Global Administrator and Privileged Role
/// Administrator.
const ADMINISTRATORS: [&str; 2] = ["62e90394-69f5-4237-9190-012177145e10", "e8611ab8-c189-46e8-94e1-60213ab1f814"];

/// What the token must say.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The tenant that the consent claimed.
    pub tenant: &'a str,
    /// Its issuer.
    pub issuer: &'a str,
    /// Our application.
    pub client_id: &'a str,
    /// The nonce that this sign-in was begun with.
    pub nonce: &'a str,
    /// Now, in seconds.
    pub now: i64,
}

/// Who signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// The object id of the account in the tenant.
    pub object_id: Option<String>,
    /// Whether the account may consent; `None` when the token does not say which roles it has.
    pub administrator: Option<bool>,
}

/// Why a token proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token of the expected form.
    #[error("the token cannot be read")]
    Malformed,
    /// Not signed with RS256.
    #[error("the token is not signed the way that Microsoft signs")]
    Algorithm,
    /// Signed with a key that the identity provider does not publish.
    #[error("the token names a signing key that Microsoft does not publish")]
    UnknownKey,
    /// The signature does not verify.
    #[error("the token's signature is wrong")]
    Signature,
    /// Of another issuer.
    #[error("the token is of another issuer than the tenant that the consent claimed")]
    Issuer,
    /// Of another tenant.
    #[error("the sign-in was in another tenant than the consent claimed")]
    Tenant,
    /// For another application.
    #[error("the token is for another application")]
    Audience,
    /// Of another sign-in.
    #[error("the token belongs to another sign-in")]
    Nonce,
    /// Over, or not begun.
    #[error("the token's time is over or has not begun; is this machine's clock right?")]
    Time,
}

#[derive(Clone, Deserialize)]
struct Claims {
    iss: String,
    // One text: a token for several audiences is not for us alone.
    aud: String,
    exp: i64,
    nbf: Option<i64>,
    iat: Option<i64>,
    nonce: Option<String>,
    tid: Option<String>,
    oid: Option<String>,
    wids: Option<Vec<String>>,
}

/// Validates.
pub fn validate(token: &str, keys: &JwkSet, expected: &Expected<'_>) -> Result<SignedIn, TokenError> {
    let claims = verified(token, keys)?;
    if claims.iss != expected.issuer {
        return Err(TokenError::Issuer);
    }
    if claims.tid.as_deref() != Some(expected.tenant) {
        return Err(TokenError::Tenant);
    }
    if claims.aud != expected.client_id {
        return Err(TokenError::Audience);
    }
    if claims.nonce.as_deref() != Some(expected.nonce) {
        return Err(TokenError::Nonce);
    }
    let begun = |at: Option<i64>| at.is_none_or(|at| at <= expected.now + LEEWAY);
    if claims.exp <= expected.now - LEEWAY || !begun(claims.nbf) || !begun(claims.iat) {
        return Err(TokenError::Time);
    }
    let may_consent = |roles: &Vec<String>| roles.iter().any(|role| ADMINISTRATORS.contains(&role.as_str()));
    Ok(SignedIn { object_id: claims.oid, administrator: claims.wids.as_ref().map(may_consent) })
}

/// The claims, when the signature verifies with a published key.
fn verified(token: &str, keys: &JwkSet) -> Result<Claims, TokenError> {
    // A header that the library cannot read (`none`, or an algorithm of nobody) is not RS256 either.
    let header = jsonwebtoken::decode_header(token)
        .map_err(|_| if token.split('.').count() == 3 { TokenError::Algorithm } else { TokenError::Malformed })?;
    if header.alg != Algorithm::RS256 {
        return Err(TokenError::Algorithm);
    }
    let key = header.kid.as_deref().and_then(|kid| keys.find(kid)).ok_or(TokenError::UnknownKey)?;
    let for_signing = !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption));
    if !for_signing || !matches!(key.algorithm, AlgorithmParameters::RSA(_)) {
        return Err(TokenError::UnknownKey);
    }
    let key = DecodingKey::from_jwk(key).map_err(|_| TokenError::UnknownKey)?;
    let mut validation = Validation::new(Algorithm::RS256);
    // Everything but the signature is looked at above, each with its own reason and with the caller's clock.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    jsonwebtoken::decode::<Claims>(token, &key, &validation).map(|data| data.claims).map_err(|error| {
        match error.kind() {
            jsonwebtoken::errors::ErrorKind::InvalidSignature => TokenError::Signature,
            _ => TokenError::Malformed,
        }
    })
}
