//! The `state` of a redirect: signed, for one step, for ten minutes, once. A callback that brings none of ours is
//! somebody else's, whatever it says. Takes the time; keeps a key that lives as long as the process.

use std::collections::BTreeMap;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How long a state is good for.
pub const LIFETIME_SECONDS: i64 = 600;

/// Which redirect a state belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// To the consent page.
    Consent,
    /// To the sign-in that proves the consent, and what only this process knows of it.
    #[serde(skip)]
    SignIn(SignIn),
}

/// What a sign-in was begun with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignIn {
    /// The tenant that the consent claimed.
    pub tenant: String,
    /// Goes into the token.
    pub nonce: String,
    /// Proves that who redeems the code is who began.
    pub verifier: String,
}

/// Why a state is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Not signed by this process.
    #[error("it was not made by this run of the command")]
    Forged,
    /// Used already.
    #[error("it was used before")]
    Used,
    /// Older than ten minutes.
    #[error("it is older than ten minutes")]
    Expired,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    id: String,
    exp: i64,
}

/// The states of one run.
pub struct States {
    sign: EncodingKey,
    verify: DecodingKey,
    /// Those that are out and not back.
    open: BTreeMap<String, Step>,
}

impl Default for States {
    fn default() -> Self {
        let secret: Vec<u8> = (0..4).flat_map(|_| Uuid::new_v4().into_bytes()).collect();
        Self {
            sign: EncodingKey::from_secret(&secret),
            verify: DecodingKey::from_secret(&secret),
            open: BTreeMap::new(),
        }
    }
}

impl States {
    /// A fresh one for `step`.
    pub fn issue(&mut self, step: Step, now: i64) -> Result<String, jsonwebtoken::errors::Error> {
        let id = Uuid::new_v4().simple().to_string();
        let claims = Claims { id: id.clone(), exp: now + LIFETIME_SECONDS };
        let state = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.sign)?;
        self.open.insert(id, step);
        Ok(state)
    }

    /// Takes one back. It cannot be taken again.
    pub fn redeem(&mut self, state: &str, now: i64) -> Result<Step, StateError> {
        let mut validation = Validation::new(Algorithm::HS256);
        // The time is this function's parameter, not the machine's clock.
        validation.validate_exp = false;
        validation.required_spec_claims.clear();
        let token = jsonwebtoken::decode::<Claims>(state, &self.verify, &validation).map_err(|_| StateError::Forged)?;
        let step = self.open.remove(&token.claims.id).ok_or(StateError::Used)?;
        if now >= token.claims.exp { Err(StateError::Expired) } else { Ok(step) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_in_time_and_of_this_process() {
        let (mut ours, mut others) = (States::default(), States::default());
        let state = ours.issue(Step::Consent, 1000).unwrap();
        assert_eq!(others.redeem(&state, 1001), Err(StateError::Forged));
        assert_eq!(ours.redeem(&state, 1001), Ok(Step::Consent));
        assert_eq!(ours.redeem(&state, 1001), Err(StateError::Used));
        let late = ours.issue(Step::Consent, 1000).unwrap();
        assert_eq!(ours.redeem(&late, 1000 + LIFETIME_SECONDS), Err(StateError::Expired));
        assert_eq!(ours.redeem(&late, 1001), Err(StateError::Used), "an expired one does not come back to life");
    }

    #[test]
    fn nothing_in_it_can_be_changed() {
        let mut states = States::default();
        let state = states.issue(Step::Consent, 1000).unwrap();
        let parts: Vec<&str> = state.split('.').collect();
        // `{"alg":"none"}`, and the same claims with a later end.
        for forged in [
            format!("eyJhbGciOiJub25lIn0.{}.", parts[1]),
            format!("{}.eyJpZCI6ImEiLCJleHAiOjk5OTk5OTk5OTl9.{}", parts[0], parts[2]),
            format!("{}.{}.", parts[0], parts[1]),
            String::new(),
        ] {
            assert_eq!(states.redeem(&forged, 1001), Err(StateError::Forged), "{forged}");
        }
        assert!(states.redeem(&state, 1001).is_ok(), "attempts with forged states cost nothing");
    }
}
