//! The request guard: requests are built from an operation of the manifest and nothing else, and each finished
//! request is compared with the manifest once more before it leaves. Default is refusal.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::manifest::{Manifest, Operation};
use crate::text;

/// Longest next-page link that is followed.
const MAX_LINK: usize = 8 * 1024;
/// Most requests inside one envelope.
const MAX_INNER: usize = 20;

/// A value for a `{slot}` of a path or query.
#[derive(Clone, Debug)]
pub enum Param<'a> {
    /// One identifier.
    Id(&'a str),
    /// Identifiers as a quoted, comma-separated list.
    Ids(&'a [String]),
    /// An instant, to the second.
    Instant(Timestamp),
}

/// Why a request was not made. Holds no address and no identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The manifest has no such operation.
    #[error("the manifest does not list the operation {0}")]
    Unlisted(String),
    /// Its revision was not accepted.
    #[error("the operation {0} needs a newer collection revision than the one that was accepted")]
    NotAccepted(String),
    /// A slot has no value, or a value that is not an identifier.
    #[error("the operation {0} was given a value that is not an identifier")]
    BadValue(String),
    /// The finished request differs from what the manifest lists.
    #[error("the finished request differs from the operation {0}: {1}")]
    Differs(String, &'static str),
    /// The link to the next page leads elsewhere.
    #[error("the next page of {0} leads elsewhere: {1}")]
    ForeignLink(String, &'static str),
}

/// A request that passed the guard. Only the guard makes one.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub(crate) operation: usize,
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Vec<u8>>,
    /// The requests inside an envelope.
    pub(crate) inner: Vec<Prepared>,
    /// Reached by the vendor's own link.
    pub(crate) followed: bool,
}

/// A request before the last look.
struct Draft {
    method: Method,
    url: Url,
    body: Option<Vec<u8>>,
    inner: Vec<Prepared>,
    followed: bool,
}

impl Draft {
    fn get(url: Url, followed: bool) -> Self {
        Self { method: Method::GET, url, body: None, inner: Vec::new(), followed }
    }
}

impl Prepared {
    /// Path and query below the API's version, as an envelope wants it.
    fn relative(&self, version: &str) -> Option<String> {
        let path = self.url.path().strip_prefix(&format!("/{version}"))?;
        Some(match self.url.query() {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        })
    }
}

/// The guard of one connector in one scan.
pub struct Guard {
    manifest: Arc<Manifest>,
    hosts: BTreeMap<String, Url>,
    accepted_revision: u32,
}

impl Guard {
    /// Binds the manifest's logical hosts to origins (`https://graph.microsoft.com`).
    pub fn new(manifest: Arc<Manifest>, hosts: BTreeMap<String, Url>, accepted_revision: u32) -> Self {
        Self { manifest, hosts, accepted_revision }
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The collection revision that runs: the accepted one, as far as the manifest goes.
    pub fn revision(&self) -> u32 {
        self.accepted_revision.min(self.manifest.collection_revision)
    }

    /// Whether the accepted revision includes an operation.
    pub fn accepts(&self, id: &str) -> bool {
        self.manifest.operation(id).is_some_and(|(_, operation)| operation.revision <= self.accepted_revision)
    }

    /// Builds the request of an operation.
    pub fn prepare(&self, id: &str, params: &[(&str, Param<'_>)]) -> Result<Prepared, Refusal> {
        let (index, operation) = self.listed(id)?;
        if operation.method != "GET" {
            return Err(Refusal::Differs(id.to_owned(), "an envelope is built by batch"));
        }
        let path = fill(&operation.path, params).ok_or_else(|| Refusal::BadValue(id.to_owned()))?;
        let mut query = Vec::new();
        for (key, template) in &operation.query {
            let value = fill(template, params).ok_or_else(|| Refusal::BadValue(id.to_owned()))?;
            query.push(format!("{key}={}", encode(&value)));
        }
        let url = self.address(operation, &path, &query.join("&"))?;
        self.finish(index, Draft::get(url, false))
    }

    /// The next page of a list, by the vendor's own link: same origin, same path.
    pub fn follow(&self, from: &Prepared, link: &str) -> Result<Prepared, Refusal> {
        let operation = &self.manifest.operations[from.operation];
        let foreign = |why| Refusal::ForeignLink(operation.id.clone(), why);
        if link.len() > MAX_LINK {
            return Err(foreign("it is too long"));
        }
        let url = Url::parse(link).map_err(|_| foreign("it is not an absolute address"))?;
        if url.path() != from.url.path() {
            return Err(foreign("its path is another one"));
        }
        self.finish(from.operation, Draft::get(url, true)).map_err(|refusal| match refusal {
            Refusal::Differs(_, why) => foreign(why),
            other => other,
        })
    }

    /// An envelope of requests that passed the guard, each with its place in `inner` as its id.
    pub fn batch(&self, id: &str, inner: &[Prepared]) -> Result<Prepared, Refusal> {
        let (index, operation) = self.listed(id)?;
        let differs = |why| Refusal::Differs(id.to_owned(), why);
        if inner.is_empty() || inner.len() > MAX_INNER {
            return Err(differs("an envelope holds 1 to 20 requests"));
        }
        let mut requests = Vec::with_capacity(inner.len());
        for (at, request) in inner.iter().enumerate() {
            let listed = &self.manifest.operations[request.operation];
            if request.method != Method::GET || !operation.inner.contains(&listed.id) {
                return Err(differs("it may not hold this operation"));
            }
            self.admits(request)?;
            let url = request.relative(self.manifest.version_of(operation)).ok_or_else(|| differs("an inner path"))?;
            let mut part = serde_json::json!({"id": at.to_string(), "method": "GET", "url": url});
            if !listed.headers.is_empty() {
                part["headers"] = serde_json::json!(listed.headers);
            }
            requests.push(part);
        }
        let body = serde_json::json!({ "requests": requests }).to_string().into_bytes();
        let url = self.address(operation, &operation.path, "")?;
        self.finish(
            index,
            Draft { method: Method::POST, url, body: Some(body), inner: inner.to_vec(), followed: false },
        )
    }

    /// Compares a finished request with the manifest: method, origin, path and query keys.
    pub fn admits(&self, request: &Prepared) -> Result<(), Refusal> {
        let operation = &self.manifest.operations[request.operation];
        let differs = |why| Err(Refusal::Differs(operation.id.clone(), why));
        let Some(base) = self.hosts.get(&operation.host) else { return differs("its host is not bound") };
        let url = &request.url;
        if request.method.as_str() != operation.method {
            return differs("its method is another one");
        }
        if request.body.is_some() == operation.inner.is_empty() {
            return differs("only an envelope has a body");
        }
        if url.scheme() != base.scheme()
            || url.host_str() != base.host_str()
            || url.port_or_known_default() != base.port_or_known_default()
        {
            return differs("its origin is another one");
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return differs("it carries user information or a fragment");
        }
        let template = format!("/{}{}", self.manifest.version_of(operation), operation.path);
        if !path_matches(&template, url.path()) {
            return differs("its path is another one");
        }
        // A next-page link is opaque by the vendor's word; all other queries hold the listed keys only.
        if !request.followed && url.query_pairs().any(|(key, _)| !operation.query.contains_key(key.as_ref())) {
            return differs("a query key is not listed");
        }
        Ok(())
    }

    fn listed(&self, id: &str) -> Result<(usize, &Operation), Refusal> {
        let found = self.manifest.operation(id).ok_or_else(|| Refusal::Unlisted(id.to_owned()))?;
        if !self.accepts(id) {
            return Err(Refusal::NotAccepted(id.to_owned()));
        }
        Ok(found)
    }

    fn address(&self, operation: &Operation, path: &str, query: &str) -> Result<Url, Refusal> {
        let unbound = || Refusal::Differs(operation.id.clone(), "its host is not bound");
        let base = self.hosts.get(&operation.host).ok_or_else(unbound)?;
        let mut url = base.clone();
        url.set_path(&format!("/{}{path}", self.manifest.version_of(operation)));
        url.set_query((!query.is_empty()).then_some(query));
        Ok(url)
    }

    fn finish(&self, operation: usize, draft: Draft) -> Result<Prepared, Refusal> {
        let listed = &self.manifest.operations[operation];
        let mut headers = HeaderMap::new();
        for (name, value) in self.manifest.headers.iter().chain(&listed.headers) {
            let pair = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
            let (name, value) = pair.ok_or_else(|| Refusal::Differs(listed.id.clone(), "a header is not valid"))?;
            headers.insert(name, value);
        }
        let Draft { method, url, body, inner, followed } = draft;
        let request = Prepared { operation, method, url, headers, body, inner, followed };
        self.admits(&request)?;
        Ok(request)
    }
}

/// Fills the slots of a template. `None` when a slot has no value or its value is not an identifier.
fn fill(template: &str, params: &[(&str, Param<'_>)]) -> Option<String> {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (slot, tail) = after.split_once('}')?;
        out.push_str(before);
        let (_, param) = params.iter().find(|(name, _)| *name == slot)?;
        match param {
            Param::Id(id) => out.push_str(text::opaque_id(id)?),
            Param::Ids(ids) => {
                let quoted: Option<Vec<String>> =
                    ids.iter().map(|id| text::opaque_id(id).map(|id| format!("'{id}'"))).collect();
                out.push_str(&quoted.filter(|list| !list.is_empty())?.join(","));
            }
            Param::Instant(at) => out.push_str(&Timestamp::from_second(at.as_second()).ok()?.to_string()),
        }
        rest = tail;
    }
    out.push_str(rest);
    Some(out)
}

/// Percent-encodes a query value, leaving the characters that vendors' documents show bare.
fn encode(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~$,()/:=".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.extend(char::from_digit(u32::from(digit), 16).map(|digit| digit.to_ascii_uppercase()));
            }
        }
    }
    out
}

fn path_matches(template: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if segment_matches(wanted, given) => {}
            _ => return false,
        }
    }
}

fn segment_matches(wanted: &str, given: &str) -> bool {
    let Some((before, rest)) = wanted.split_once('{') else { return wanted == given };
    let after = rest.split_once('}').map_or("", |(_, after)| after);
    given.strip_prefix(before).and_then(|g| g.strip_suffix(after)).is_some_and(|value| text::opaque_id(value).is_some())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::manifest::tests::SMALL;

    fn guard() -> Guard {
        let manifest = Arc::new(Manifest::parse(SMALL).unwrap());
        let hosts = BTreeMap::from([("api".to_owned(), Url::parse("https://api.example.com").unwrap())]);
        Guard::new(manifest, hosts, 1)
    }

    #[test]
    fn builds_what_is_listed() {
        let request = guard().prepare("listThings", &[]).unwrap();
        assert_eq!(request.url.as_str(), "https://api.example.com/v1/things?$select=id,name&$top=2");
        assert_eq!(request.headers["x-priority"], "Low");
        let ids = ["a-1".to_owned(), "b-2".to_owned()];
        let request = guard().prepare("byKey", &[("id", Param::Id("k")), ("ids", Param::Ids(&ids))]).unwrap();
        assert_eq!(
            request.url.as_str(),
            "https://api.example.com/v1/things(key=k)?$filter=id%20in%20(%27a-1%27,%27b-2%27)"
        );
    }

    /// What runs is what was accepted, but no more than the manifest has.
    #[rstest]
    #[case(0, 0)]
    #[case(1, 1)]
    #[case(2, 2)]
    #[case(9, 2)]
    fn the_revision_is_the_lesser_of_accepted_and_known(#[case] accepted: u32, #[case] runs: u32) {
        let Guard { manifest, hosts, .. } = guard();
        let manifest = Arc::new(Manifest { collection_revision: 2, ..manifest.as_ref().clone() });
        assert_eq!(Guard::new(manifest, hosts, accepted).revision(), runs);
    }

    #[test]
    fn refuses_what_is_not_listed_or_not_accepted() {
        assert_eq!(guard().prepare("other", &[]).unwrap_err(), Refusal::Unlisted("other".into()));
        assert_eq!(guard().prepare("newer", &[]).unwrap_err(), Refusal::NotAccepted("newer".into()));
        assert!(matches!(guard().prepare("batch", &[]), Err(Refusal::Differs(..))));
    }

    #[rstest]
    #[case("..")]
    #[case("a/../../users")]
    #[case("a%2f..")]
    #[case("a?x=1")]
    #[case("")]
    #[case("a' or 'b")]
    fn refuses_values_that_are_not_identifiers(#[case] value: &str) {
        let refused = guard().prepare("getThing", &[("id", Param::Id(value))]);
        assert_eq!(refused.unwrap_err(), Refusal::BadValue("getThing".into()));
        let ids = [value.to_owned()];
        let refused = guard().prepare("byKey", &[("id", Param::Id("k")), ("ids", Param::Ids(&ids))]);
        assert!(refused.is_err());
    }

    /// A request that was tampered with after it was built is refused by the second look.
    #[rstest]
    #[case::method(|r: &mut Prepared| r.method = Method::DELETE)]
    #[case::origin(|r: &mut Prepared| r.url.set_host(Some("evil.example.com")).unwrap())]
    #[case::scheme(|r: &mut Prepared| r.url.set_scheme("http").unwrap())]
    #[case::port(|r: &mut Prepared| r.url.set_port(Some(444)).unwrap())]
    #[case::path(|r: &mut Prepared| r.url.set_path("/v1/users"))]
    #[case::deeper(|r: &mut Prepared| r.url.set_path("/v1/things/1"))]
    #[case::version(|r: &mut Prepared| r.url.set_path("/beta/things"))]
    #[case::query(|r: &mut Prepared| r.url.set_query(Some("$expand=secrets")))]
    #[case::user(|r: &mut Prepared| r.url.set_username("me").unwrap())]
    #[case::password(|r: &mut Prepared| r.url.set_password(Some("word")).unwrap())]
    #[case::fragment(|r: &mut Prepared| r.url.set_fragment(Some("part")))]
    #[case::body(|r: &mut Prepared| r.body = Some(vec![1]))]
    fn refuses_what_differs(#[case] tamper: fn(&mut Prepared)) {
        let mut request = guard().prepare("listThings", &[]).unwrap();
        assert_eq!(guard().admits(&request), Ok(()));
        tamper(&mut request);
        assert!(matches!(guard().admits(&request), Err(Refusal::Differs(..))));
    }

    #[rstest]
    #[case("https://api.example.com/v1/things?$skiptoken=abc&anything=1", true)]
    #[case("https://api.example.com:443/v1/things?$skiptoken=abc", true)]
    #[case("https://evil.example.com/v1/things?$skiptoken=abc", false)]
    #[case("http://api.example.com/v1/things?$skiptoken=abc", false)]
    #[case("https://api.example.com/v1/users?$skiptoken=abc", false)]
    #[case("https://api.example.com/v1/things/../users", false)]
    #[case("https://me@api.example.com/v1/things", false)]
    #[case("/v1/things?$skiptoken=abc", false)]
    fn next_pages_stay_where_they_are(#[case] link: &str, #[case] allowed: bool) {
        let from = guard().prepare("listThings", &[]).unwrap();
        assert_eq!(guard().follow(&from, link).is_ok(), allowed, "{link}");
    }

    #[rstest]
    #[case(8192, true)]
    #[case(8193, false)]
    fn a_next_link_is_at_most_so_long(#[case] length: usize, #[case] allowed: bool) {
        let from = guard().prepare("listThings", &[]).unwrap();
        let link = format!("{:y<length$}", "https://api.example.com/v1/things?x=");
        assert_eq!(guard().follow(&from, &link).is_ok(), allowed);
    }

    #[test]
    fn an_operation_of_another_version_stays_in_it() {
        let guard = guard();
        let since = "2026-01-01T00:00:00.5Z".parse().unwrap();
        let params = [("id", Param::Id("7")), ("since", Param::Instant(since))];
        let request = guard.prepare("preview", &params).unwrap();
        assert_eq!(
            request.url.as_str(),
            "https://api.example.com/beta/things/7/preview?$filter=at%20ge%202026-01-01T00:00:00Z"
        );
        let mut moved = request.clone();
        moved.url.set_path("/v1/things/7/preview");
        assert!(matches!(guard.admits(&moved), Err(Refusal::Differs(..))));
        assert!(guard.follow(&request, "https://api.example.com/beta/things/7/preview?$skiptoken=1").is_ok());
        assert!(guard.follow(&request, "https://api.example.com/v1/things/7/preview?$skiptoken=1").is_err());
        let envelope = guard.batch("batchBeta", std::slice::from_ref(&request)).unwrap();
        assert_eq!(envelope.url.as_str(), "https://api.example.com/beta/$batch");
        let body: serde_json::Value = serde_json::from_slice(envelope.body.as_ref().unwrap()).unwrap();
        assert_eq!(
            body["requests"][0],
            serde_json::json!({"id": "0", "method": "GET", "headers": {"level": "eventual"},
                "url": "/things/7/preview?$filter=at%20ge%202026-01-01T00:00:00Z"})
        );
        assert!(guard.batch("batch", &[request]).is_err(), "an envelope goes to one version");
        let other = guard.prepare("getThing", &[("id", Param::Id("7"))]).unwrap();
        assert!(guard.batch("batchBeta", &[other]).is_err());
    }

    #[test]
    fn an_instant_fits_no_path() {
        let at = "2026-01-01T00:00:00Z".parse().unwrap();
        assert!(matches!(guard().prepare("getThing", &[("id", Param::Instant(at))]), Err(Refusal::Differs(..))));
    }

    #[test]
    fn an_envelope_holds_listed_reads_only() {
        let guard = guard();
        let inner = guard.prepare("getThing", &[("id", Param::Id("7"))]).unwrap();
        let envelope = guard.batch("batch", std::slice::from_ref(&inner)).unwrap();
        let body: serde_json::Value = serde_json::from_slice(envelope.body.as_ref().unwrap()).unwrap();
        assert_eq!(body["requests"][0], serde_json::json!({"id": "0", "method": "GET", "url": "/things/7/parts"}));
        let other = guard.prepare("listThings", &[]).unwrap();
        assert!(guard.batch("batch", &[other]).is_err());
        assert!(guard.batch("batch", &[]).is_err());
        assert!(guard.batch("batch", &vec![inner.clone(); 20]).is_ok());
        assert!(guard.batch("batch", &vec![inner; 21]).is_err());
    }
}
