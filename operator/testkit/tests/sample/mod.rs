//! A small connector that keeps the contract, and breaks it in one place on demand.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use sv0_connector::{
    Cause, Collected, Connector, Engine, Failure, Lenient, Manifest, Page, Param, RowSink, Tally, walk, walk_on,
};
use sv0_graph::{EdgeKind, EdgeRow, EdgeState, NodeId, NodeKind, NodeRow, Value, attr};
use sv0_testkit::{Subject, Tenant};

/// One seeded defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    AsksForWhatIsNotListed,
    NeverAsksForPeople,
    SaysNothingOfWhatIsNotAccepted,
    ReadsTheFirstPageOnly,
    StopsQuietlyWhenACursorRepeats,
    PanicsWithoutAName,
    OverlooksBrokenItems,
    TakesARefusalForNothing,
    TakesAFailureForThrottling,
    NamesNoPermission,
    ForgetsWhatPartsAreBuiltUpon,
    KeepsWhatIsNotListed,
    KeepsWhatNobodyAskedFor,
    CountsRepeatedParts,
    NumbersByArrival,
    HoldsRowsBack,
    DoesNotSayWhatIsKeptInside,
    LetsOneListEndTheScan,
    SpeaksForAnotherList,
    CallsAnAddOnMissing,
    CallsWhatItHasMissing,
}

const MANIFEST: &str = r"
system: sample
title: Sample
api: {name: Sample API, version: v1}
collectionRevision: 2
authMethods: [clientSecret]
headers: {x-sample: 'yes'}
permissions:
  - {id: Thing.Read, role: r1, reason: things}
  - {id: Person.Read, role: r2, reason: people}
  - {id: News.Read, role: r3, reason: news, addOn: news}
nested: {marks: [id]}
operations:
  - {id: getTenant, method: GET, host: api, path: /tenant, fields: [id], collection: tenant, revision: 1}
  - {id: listThings, method: GET, host: api, path: /things, query: {$count: 'true'}, fields: [id, name, owner, marks], paging: odataNextLink, permission: Thing.Read, collection: things, revision: 1}
  - {id: listParts, method: GET, host: api, path: '/things/{id}/parts', fields: [id], paging: odataNextLink, permission: Thing.Read, collection: parts, revision: 1}
  - {id: listPeople, method: GET, host: api, path: /people, query: {$filter: 'id in ({ids})'}, fields: [id, active], paging: odataNextLink, permission: Person.Read, collection: people, revision: 1}
  - {id: listNews, method: GET, host: api, path: /news, fields: [id], paging: odataNextLink, permission: News.Read, collection: news, revision: 2}
  - {id: batch, method: POST, host: api, path: /$batch, inner: [listParts, listPeople], revision: 1}
";

const TENANT: &str = "t-1";

pub(crate) struct Sample {
    manifest: Manifest,
    defect: Option<Defect>,
}

/// The connector with its tenant.
pub(crate) fn subject(defect: Option<Defect>) -> Subject<Sample> {
    let yaml = match defect {
        Some(Defect::DoesNotSayWhatIsKeptInside) => MANIFEST.replace("nested: {marks: [id]}\n", ""),
        _ => MANIFEST.to_owned(),
    };
    let thing = |n: u32| json!({"id": format!("thing-{n}"), "name": format!("thing {n}"), "owner": format!("p-{n}"), "marks": [{"id": n}]});
    let part = |n: u32| json!({"id": format!("part-{n}")});
    let tenant = Tenant::new()
        .list("getTenant", [json!({"id": TENANT})])
        .list("listThings", (1..=4).map(thing))
        .list_of("listParts", "thing-1", (1..=3).map(part))
        .list_of("listParts", "thing-2", (4..=5).map(part))
        .list("listPeople", (1..=4).map(|n| json!({"id": format!("p-{n}"), "active": n != 2})))
        .list("listNews", (1..=3).map(|n| json!({"id": format!("news-{n}")})));
    Subject::new(Sample { manifest: Manifest::parse(&yaml).unwrap(), defect }, 2, tenant)
        .decisive(&["tenant"])
        .depends("parts", &["things"])
        .depends("people", &["things"])
        .words(&["name"])
}

#[derive(Deserialize)]
struct Thing {
    id: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    owner: Option<String>,
    #[serde(default)]
    marks: Vec<Json>,
    #[serde(rename = "neverHeardOf", default)]
    not_listed: Option<String>,
}

#[derive(Deserialize)]
struct Id {
    id: String,
    #[serde(default)]
    active: Option<bool>,
}

#[derive(Deserialize)]
struct Envelope {
    responses: Vec<Answer>,
}

#[derive(Deserialize)]
struct Answer {
    id: String,
    status: u16,
    #[serde(default)]
    body: Json,
}

/// One walk.
struct Walk<'a> {
    sample: &'a Sample,
    engine: &'a Engine,
    rows: &'a dyn RowSink,
}

impl Walk<'_> {
    fn has(&self, defect: Defect) -> bool {
        self.sample.defect == Some(defect)
    }

    fn node(&self, kind: NodeKind, id: &str, operation: &str, attrs: BTreeMap<String, Value>) -> NodeRow {
        let op = self.sample.manifest.graph_index(operation).unwrap();
        NodeRow { id: NodeId::new("sample", TENANT, kind, id), kind, op, attrs }
    }

    fn keep(&self, row: NodeRow) {
        self.rows.row(row.into()).unwrap();
    }

    async fn tenant(&self, tally: &mut Tally) -> Result<(), Failure> {
        let mut ids = Vec::new();
        let first = self.engine.guard().prepare("getTenant", &[]).unwrap();
        walk(self.engine, first, tally, |wire: Id| {
            ids.push(wire.id.clone());
            Ok(Some(wire.id))
        })
        .await;
        ids.dedup();
        match tally.flaw() {
            Some(flaw) => Err(flaw.clone()),
            None if ids == [TENANT] => Ok(()),
            None => Err(Cause::ForeignTenant.into()),
        }
    }

    fn thing(&self, wire: Thing, nth: usize) -> (NodeRow, Option<String>) {
        let name = if self.has(Defect::PanicsWithoutAName) { Some(wire.name.unwrap()) } else { wire.name };
        let name = if self.has(Defect::KeepsWhatIsNotListed) { wire.not_listed } else { name };
        let mut attrs: BTreeMap<String, Value> =
            name.map(|name| (attr::NAME.to_owned(), Value::Text(name))).into_iter().collect();
        attrs.insert(attr::OWNER_COUNT.to_owned(), Value::Int(i64::try_from(wire.marks.len()).unwrap()));
        if self.has(Defect::NumbersByArrival) {
            attrs.insert(attr::CREATED_AT.to_owned(), Value::Int(i64::try_from(nth).unwrap()));
        }
        (self.node(NodeKind::Application, &wire.id, "listThings", attrs), wire.owner)
    }

    /// Ids of things, and of their owners.
    async fn things(&self, tally: &mut Tally) -> (BTreeSet<String>, BTreeSet<String>) {
        let (mut ids, mut owners, mut held) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        let first = self.engine.guard().prepare("listThings", &[]).unwrap();
        let mut each = |wire: Thing| {
            let id = wire.id.clone();
            ids.insert(id.clone());
            let (row, owner) = self.thing(wire, ids.len());
            owners.extend(owner);
            if self.has(Defect::HoldsRowsBack) {
                held.push(row);
            } else {
                self.keep(row);
            }
            Ok(Some(id))
        };
        if self.has(Defect::ReadsTheFirstPageOnly)
            || self.has(Defect::StopsQuietlyWhenACursorRepeats)
            || self.has(Defect::OverlooksBrokenItems)
        {
            self.carelessly(first, tally, each).await;
        } else {
            let mut own = Tally::default();
            walk(self.engine, first, &mut own, &mut each).await;
            let refused = own.flaw().is_some_and(|flaw| flaw.cause == Cause::PermissionMissing);
            if !(refused && self.has(Defect::TakesARefusalForNothing)) {
                *tally = own;
            }
        }
        for row in held {
            self.keep(row);
        }
        (ids, owners)
    }

    /// A loop of one's own, in place of the engine's.
    async fn carelessly(
        &self,
        mut request: sv0_connector::Prepared,
        tally: &mut Tally,
        mut each: impl FnMut(Thing) -> Result<Option<String>, sv0_connector::SinkError>,
    ) {
        let mut links = BTreeSet::new();
        loop {
            let page: Page<Thing> = match self.engine.json(&request).await {
                Ok(page) => page,
                Err(failure) => return tally.report(failure),
            };
            tally.page();
            for item in page.value {
                match item {
                    Lenient::Item(thing) => {
                        tally.item(&each(thing).unwrap().unwrap());
                    }
                    Lenient::Broken if self.has(Defect::OverlooksBrokenItems) => {}
                    Lenient::Broken => tally.report(Cause::ResponseMalformed),
                }
            }
            let Some(link) = page.next_link.filter(|_| !self.has(Defect::ReadsTheFirstPageOnly)) else { return };
            if !links.insert(link.clone()) {
                return;
            }
            request = self.engine.guard().follow(&request, &link).unwrap();
        }
    }

    /// Sends reads in one envelope; failures by their place.
    async fn envelope(&self, requests: &[sv0_connector::Prepared], tally: &mut Tally) -> Vec<(usize, Page<Id>)> {
        let mut pages = Vec::new();
        let outer = self.engine.guard().batch("batch", requests).unwrap();
        for attempt in 0.. {
            pages.clear();
            let envelope: Envelope = match self.engine.json(&outer).await {
                Ok(envelope) => envelope,
                Err(failure) => {
                    tally.report(failure);
                    break;
                }
            };
            let mut open: BTreeSet<usize> = (0..requests.len()).collect();
            let mut again = None;
            for answer in envelope.responses {
                let Some(place) = answer.id.parse::<usize>().ok().filter(|place| open.remove(place)) else { continue };
                let code = answer.body.pointer("/error/code").and_then(Json::as_str).unwrap_or_default();
                match answer.status {
                    200 => match serde_json::from_value(answer.body) {
                        Ok(page) => pages.push((place, page)),
                        Err(_) => tally.report(Cause::ResponseMalformed),
                    },
                    429 => again = Some(Cause::RateLimited),
                    500.. if self.has(Defect::TakesAFailureForThrottling) => again = Some(Cause::RateLimited),
                    500.. => again = again.or(Some(Cause::UpstreamUnavailable)),
                    status => tally.report(self.engine.explain(&requests[place], status, code)),
                }
            }
            if !open.is_empty() {
                tally.report(Cause::ResponseMalformed);
            }
            let Some(cause) = again else { break };
            if let Err(failure) = self.engine.wait(cause, None, attempt).await {
                tally.report(failure);
                break;
            }
        }
        pages.sort_by_key(|(place, _)| *place);
        pages
    }

    async fn parts(&self, things: &BTreeSet<String>, tally: &mut Tally) {
        let things: Vec<&String> = things.iter().collect();
        let prepare = |id: &&String| self.engine.guard().prepare("listParts", &[("id", Param::Id(id))]);
        let requests: Vec<_> = things.iter().filter_map(|id| prepare(id).ok()).collect();
        if requests.len() < things.len() {
            tally.report(Cause::ResponseMalformed);
        }
        if requests.is_empty() {
            return;
        }
        for (place, page) in self.envelope(&requests, tally).await {
            let mut count = 0;
            let thing = things[place];
            walk_on(self.engine, requests[place].clone(), page, tally, |wire: Id| {
                count += 1;
                let row =
                    self.node(NodeKind::Credential, &format!("{thing}/{}", wire.id), "listParts", BTreeMap::new());
                let (from, to) = (NodeId::new("sample", TENANT, NodeKind::Application, thing), row.id.clone());
                let (object, role, scope, condition, since, until) = (None, None, None, None, None, None);
                let (kind, state) = (EdgeKind::HoldsCredential, EdgeState::Active);
                let edge = EdgeRow { from, kind, to, op: row.op, object, role, scope, condition, state, since, until };
                self.rows.row(edge.into())?;
                self.keep(row);
                Ok(Some(format!("{thing}/{}", wire.id)))
            })
            .await;
            if self.has(Defect::CountsRepeatedParts) {
                let attrs = BTreeMap::from([(attr::OWNER_COUNT.to_owned(), Value::Int(count))]);
                self.keep(self.node(NodeKind::Application, thing, "listParts", attrs));
            }
        }
    }

    async fn people(&self, ids: &BTreeSet<String>, tally: &mut Tally) {
        let asked: Vec<String> = ids.iter().cloned().collect();
        let Ok(request) = self.engine.guard().prepare("listPeople", &[("ids", Param::Ids(&asked))]) else {
            return tally.report(Cause::PartialCoverage);
        };
        for (_, page) in self.envelope(std::slice::from_ref(&request), tally).await {
            walk_on(self.engine, request.clone(), page, tally, |wire: Id| {
                if !ids.contains(&wire.id) && !self.has(Defect::KeepsWhatNobodyAskedFor) {
                    return Ok(None);
                }
                let attrs = wire.active.map(|active| (attr::ENABLED.to_owned(), Value::Bool(active)));
                self.keep(self.node(NodeKind::Human, &wire.id, "listPeople", attrs.into_iter().collect()));
                Ok(Some(wire.id))
            })
            .await;
        }
    }

    async fn news(&self, tally: &mut Tally) {
        match self.engine.guard().prepare("listNews", &[]) {
            Ok(first) => {
                let quiet = self.has(Defect::SpeaksForAnotherList);
                let operation = if quiet { "listThings" } else { "listNews" };
                let mut own = Tally::default();
                walk(self.engine, first, &mut own, |wire: Id| {
                    self.keep(self.node(NodeKind::Scope, &wire.id, operation, BTreeMap::new()));
                    Ok(Some(wire.id))
                })
                .await;
                if !quiet {
                    *tally = own;
                }
            }
            Err(_) if self.has(Defect::SaysNothingOfWhatIsNotAccepted) => {}
            Err(refusal) => tally.report(self.engine.refused(&refusal)),
        }
    }
}

impl Connector for Sample {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn collect(&self, engine: &Engine, rows: &dyn RowSink, _: Timestamp) -> Result<Collected, Failure> {
        let walk = Walk { sample: self, engine, rows };
        let [mut tenant, mut things, mut parts, mut people, mut news] = std::array::from_fn(|_| Tally::default());
        walk.tenant(&mut tenant).await?;
        let (ids, owners) = walk.things(&mut things).await;
        if walk.has(Defect::LetsOneListEndTheScan)
            && let Some(flaw) = things.flaw()
        {
            return Err(flaw.clone());
        }
        walk.parts(&ids, &mut parts).await;
        if !walk.has(Defect::NeverAsksForPeople) {
            walk.people(&owners, &mut people).await;
        }
        if walk.has(Defect::AsksForWhatIsNotListed)
            && let Err(refusal) = engine.guard().prepare("listSecrets", &[])
        {
            parts.report(engine.refused(&refusal));
        }
        walk.news(&mut news).await;
        if !things.is_complete() {
            people.report(Cause::PartialCoverage);
            if !walk.has(Defect::ForgetsWhatPartsAreBuiltUpon) {
                parts.report(Cause::PartialCoverage);
            }
        }
        let tallies = [("news", news), ("parts", parts), ("people", people), ("tenant", tenant), ("things", things)];
        let mut coverage: Vec<_> = tallies.iter().map(|(name, tally)| tally.coverage(name)).collect();
        if walk.has(Defect::NamesNoPermission) {
            for record in &mut coverage {
                record.permission = None;
            }
        }
        let mut missing: Vec<String> = coverage.iter().filter_map(|record| record.permission.clone()).collect();
        missing.retain(|id| !self.manifest.is_add_on(id) || walk.has(Defect::CallsAnAddOnMissing));
        missing.extend(walk.has(Defect::CallsWhatItHasMissing).then(|| "Thing.Read".to_owned()));
        missing.sort();
        missing.dedup();
        Ok(Collected {
            tenant: TENANT.to_owned(),
            coverage,
            permissions_missing: missing,
            permissions_excess: Vec::new(),
            credential_expires_at: None,
            pending_revision: None,
            add_ons: Vec::new(),
            own_grants: None,
        })
    }
}
