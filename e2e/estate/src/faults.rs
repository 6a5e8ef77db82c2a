//! Faults and lies that a test switches on: plain data and the decision whether one strikes.
//!
//! A fault names a route (`applications`, `applications+owners`, `token`, ... or `*`). Nothing here does I/O.

mod drift;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// An error that a route answers instead of its content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// Route, `token`, `metadata`, or `*` for every Graph route.
    pub route: String,
    /// HTTP status.
    #[serde(default = "unavailable")]
    pub status: u16,
    /// How often; absent: until cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// Let so many requests of the route pass first.
    #[serde(default)]
    pub after: u32,
    /// `Retry-After`, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// Bursts: after `times` strikes let so many requests pass, and begin again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<u32>,
    /// Answer with the truth and status 200, but break the connection off in the middle of the body.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncate: bool,
    /// The vendor's code: a Graph error code, or the number after `AADSTS` for `token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

fn unavailable() -> u16 {
    503
}

/// How a hostile or broken vendor answers lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hostile {
    /// The next page is on another host.
    NextlinkOtherOrigin,
    /// Every next link carries the same cursor.
    RepeatCursor,
    /// A body that does not end within half a gigabyte.
    HugeBody,
    /// 100,000 nested lists.
    DeepJson,
    /// Objects and organisation of another tenant.
    ForeignTenant,
    /// Pages without end, each with a fresh cursor.
    EndlessPages,
    /// A byte per second.
    SlowBody,
    /// A body that stops in the middle of a value.
    TruncatedBody,
    /// 200 with a web page instead of data.
    NotJson,
}

/// How the last page of a list is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LostPage {
    /// Its request fails with 503.
    Fails,
    /// The page before it has no next link, as if it were the last.
    Silent,
}

pub use drift::{Expiry, Lag, Revocation};

/// All faults switched on.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) errors: Vec<Fault>,
    pub(crate) lost_pages: BTreeMap<String, LostPage>,
    pub(crate) halved: BTreeSet<String>,
    pub(crate) redirect: Option<String>,
    pub(crate) hostile: Option<(Hostile, String)>,
    pub(crate) lags: Vec<Lag>,
    pub(crate) expiry: Option<Expiry>,
    pub(crate) expired_tokens: BTreeSet<String>,
    pub(crate) revocations: Vec<Revocation>,
    /// How far the vendor's clock is ahead, seconds.
    pub(crate) clock_skew: i64,
    /// Strikes since the last pause, by position among the errors.
    struck: BTreeMap<usize, u32>,
}

impl Faults {
    /// The fault that strikes this request, if any. Counts it.
    pub(crate) fn strike(&mut self, route: &str) -> Option<Fault> {
        let (at, found) = self.errors.iter_mut().enumerate().find(|(_, fault)| {
            (fault.route == route || (fault.route == "*" && !matches!(route, "token" | "metadata")))
                && fault.times != Some(0)
        })?;
        if found.after > 0 {
            found.after -= 1;
            return None;
        }
        match (found.every, &mut found.times) {
            (Some(pause), Some(length)) => {
                let struck = self.struck.entry(at).or_default();
                *struck += 1;
                if *struck >= *length {
                    (*struck, found.after) = (0, pause);
                }
            }
            (_, Some(times)) => *times -= 1,
            (_, None) => {}
        }
        Some(found.clone())
    }

    /// How this route lies, if it does.
    pub(crate) fn lie(&self, route: &str) -> Option<Hostile> {
        let (hostile, target) = self.hostile.as_ref()?;
        (target == route || target == "*").then_some(*hostile)
    }

    pub(crate) fn lost_page(&self, route: &str) -> Option<LostPage> {
        self.lost_pages.get(route).copied()
    }

    pub(crate) fn is_halved(&self, route: &str) -> bool {
        self.halved.contains(route)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(route: &str, times: Option<u32>, after: u32) -> Fault {
        Fault { route: route.to_owned(), status: 429, times, after, ..Fault::default() }
    }

    #[test]
    fn strikes_so_often_and_no_more() {
        let mut faults = Faults { errors: vec![fault("applications", Some(2), 1)], ..Faults::default() };
        let struck: Vec<bool> = (0..5).map(|_| faults.strike("applications").is_some()).collect();
        assert_eq!(struck, [false, true, true, false, false]);
        assert!(faults.strike("servicePrincipals").is_none());
    }

    #[test]
    fn the_star_spares_the_token_endpoint() {
        let mut faults = Faults { errors: vec![fault("*", None, 0)], ..Faults::default() };
        assert!(faults.strike("token").is_none());
        assert!(faults.strike("users").is_some());
    }

    #[test]
    fn bursts_come_back() {
        let burst = Fault { every: Some(3), ..fault("users", Some(2), 1) };
        let mut faults = Faults { errors: vec![burst], ..Faults::default() };
        let struck: Vec<bool> = (0..9).map(|_| faults.strike("users").is_some()).collect();
        assert_eq!(struck, [false, true, true, false, false, false, true, true, false]);
    }
}
