//! Faults that come while a scan runs: objects that are not everywhere yet, tokens that end, permissions that go.

use serde::{Deserialize, Serialize};

use super::Faults;

/// A new object that the vendor's replicas do not all have yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lag {
    /// Key or object id of an application, service principal, user or group.
    pub id: String,
    /// So many reads that should show it do not. The pages of one list are one read.
    pub reads: u32,
}

/// The end of the access tokens in use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expiry {
    /// Let so many requests to Graph pass first. A batch is one request.
    pub after: u32,
    /// Tokens that were shown since then.
    #[serde(skip)]
    shown: std::collections::BTreeSet<String>,
}

/// A permission that an administrator takes away while a scan runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Revocation {
    /// The Graph permission.
    pub permission: String,
    /// The route that is refused from then on, whatever a token says.
    pub route: String,
    /// Let so many requests of the route pass first.
    #[serde(default)]
    pub after: u32,
    /// Client id of the application that loses it.
    #[serde(skip)]
    pub(crate) app: String,
    /// Whether it has happened.
    #[serde(skip)]
    pub(crate) done: bool,
}

impl Faults {
    /// Objects that are not there yet, by id.
    pub(crate) fn lagging(&self) -> Vec<String> {
        self.lags.iter().filter(|lag| lag.reads > 0).map(|lag| lag.id.clone()).collect()
    }

    /// A read missed an object.
    pub(crate) fn missed(&mut self, id: &str) {
        if let Some(lag) = self.lags.iter_mut().find(|lag| lag.id == id) {
            lag.reads = lag.reads.saturating_sub(1);
        }
    }

    /// Whether a token (its digest) has ended. Counts the request.
    pub(crate) fn is_expired(&mut self, token: &str) -> bool {
        let Some(expiry) = &mut self.expiry else { return self.expired_tokens.contains(token) };
        expiry.shown.insert(token.to_owned());
        if expiry.after > 0 {
            expiry.after -= 1;
        } else {
            self.expired_tokens.append(&mut expiry.shown);
            self.expiry = None;
        }
        self.expired_tokens.contains(token)
    }

    /// Whether a route is refused, and the revocation that happens with this request. Counts it.
    pub(crate) fn revoke(&mut self, route: &str) -> (bool, Option<Revocation>) {
        let Some(found) = self.revocations.iter_mut().find(|revocation| revocation.route == route) else {
            return (false, None);
        };
        if found.after > 0 {
            found.after -= 1;
            return (false, None);
        }
        let first = !std::mem::replace(&mut found.done, true);
        (true, first.then(|| found.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_end_and_new_ones_do_not() {
        let mut faults = Faults { expiry: Some(Expiry { after: 2, ..Expiry::default() }), ..Faults::default() };
        let seen: Vec<bool> = ["a", "a", "a", "a", "b", "a"].map(|token| faults.is_expired(token)).to_vec();
        assert_eq!(seen, [false, false, true, true, false, true]);
    }

    #[test]
    fn a_permission_goes_once() {
        let gone =
            Revocation { permission: "p".to_owned(), route: "r".to_owned(), after: 1, app: String::new(), done: false };
        let mut faults = Faults { revocations: vec![gone], ..Faults::default() };
        let mut refused = Vec::new();
        for route in ["r", "other", "r", "r"] {
            let (no, now) = faults.revoke(route);
            refused.push((no, now.is_some()));
        }
        assert_eq!(refused, [(false, false), (false, false), (true, true), (true, false)]);
    }
}
