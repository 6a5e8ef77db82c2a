//! What was used when, and who added which credential: the vendor's reports and its log of changes. Only what the
//! directory showed is spoken of: a report remembers identities and keys that are long gone.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};
use sv0_connector::{Cause, Param, SinkError, Tally, text};
use sv0_graph::{EdgeKind, NodeId, NodeKind, Value, attr};

use crate::client::list;
use crate::collect::Walk;
use crate::collect::identities::{Applications, Principals};
use crate::collect::pairs::Pairs;
use crate::map::activity::{LastUse, added_keys, adds_credentials, at, last_use};
use crate::map::readable;
use crate::model::{ChangedResource, CredentialActivity, DirectoryAudit, Initiator, PrincipalActivity};

/// How far back the log of changes is read: no licence keeps it longer.
const DAYS: i64 = 30;

/// What the reports are about: all that the directory showed.
pub(crate) struct Known<'a> {
    pub(crate) applications: &'a Applications,
    pub(crate) principals: &'a Principals,
    /// Key and holder of every credential.
    pub(crate) keys: &'a Pairs,
}

impl Known<'_> {
    fn kind(&self, principal: &str) -> NodeKind {
        self.principals.kinds.get(principal).copied().unwrap_or(NodeKind::ServicePrincipal)
    }

    /// The one service principal of an application id, if there is one only.
    fn principal_of(&self, app_id: &str) -> Option<u128> {
        let mut all = self.principals.by_app_id.of(text::guid_bits(app_id)?);
        all.next().filter(|_| all.next().is_none())
    }
}

/// Whether a report can be asked for.
fn exists(walk: &Walk<'_>, operation: &str, tally: &mut Tally) -> bool {
    if !walk.accepts(operation, tally) {
        return false;
    }
    if !walk.config.has_sign_in_reports {
        tally.report(Cause::NotInThisCloud);
    }
    walk.config.has_sign_in_reports
}

/// When service principals signed in last.
pub(crate) async fn principals(walk: &Walk<'_>, known: &Known<'_>, tally: &mut Tally) {
    let operation = "listServicePrincipalActivity";
    if !exists(walk, operation, tally) {
        return;
    }
    let mut uses: HashMap<u128, LastUse> = HashMap::new();
    list(walk.engine, operation, &[], tally, |wire: PrincipalActivity| {
        let (Some(app_id), Some(last)) = (text::guid_bits(&wire.app_id), last_use(&wire)) else { return Ok(None) };
        if known.principals.by_app_id.of(app_id).next().is_some() {
            let kept = uses.entry(app_id).or_default();
            *kept = kept.or(last);
        }
        Ok(text::guid(&wire.app_id))
    })
    .await;
    for (app_id, last) in uses {
        let attrs: BTreeMap<String, Value> =
            [(attr::LAST_USED_AT, last.any), (attr::LAST_UNATTENDED_USE_AT, last.unattended)]
                .into_iter()
                .filter_map(|(name, at)| Some((name.to_owned(), Value::Text(at?.to_string()))))
                .collect();
        if attrs.is_empty() {
            continue;
        }
        for principal in known.principals.by_app_id.of(app_id).map(text::guid_of) {
            let row = walk.map.node(known.kind(&principal), &principal, operation, attrs.clone());
            if walk.node(row).is_err() {
                return tally.report(Cause::Internal);
            }
        }
    }
}

/// When credentials were used last. The report has a row for each resource that a credential was used at.
pub(crate) async fn credentials(walk: &Walk<'_>, known: &Known<'_>, tally: &mut Tally) {
    let operation = "listCredentialActivity";
    if !exists(walk, operation, tally) {
        return;
    }
    let mut uses: HashMap<(u128, u128), Timestamp> = HashMap::new();
    list(walk.engine, operation, &[], tally, |wire: CredentialActivity| {
        let (Some(key), Ok(last)) = (text::guid_bits(&wire.key_id), at(wire.sign_in_activity.as_ref())) else {
            return Ok(None);
        };
        let holder = holder(known, &wire).filter(|holder| known.keys.has(key, *holder));
        if let (Some(holder), Some(last)) = (holder, last) {
            let kept = uses.entry((key, holder)).or_insert(last);
            *kept = last.max(*kept);
        }
        Ok(Some(wire.id))
    })
    .await;
    for ((key, holder), last) in uses {
        let attrs = BTreeMap::from([(attr::LAST_USED_AT.to_owned(), Value::Text(last.to_string()))]);
        let credential = format!("{}/{}", text::guid_of(holder), text::guid_of(key));
        if walk.node(walk.map.node(NodeKind::Credential, &credential, operation, attrs)).is_err() {
            return tally.report(Cause::Internal);
        }
    }
}

/// Who holds the credential of a row, by the row's own word or by its application id.
fn holder(known: &Known<'_>, wire: &CredentialActivity) -> Option<u128> {
    let app_id = wire.app_id.as_deref();
    match wire.credential_origin.as_deref()? {
        "application" => wire
            .app_object_id
            .as_deref()
            .and_then(text::guid_bits)
            .or_else(|| text::guid_bits(known.applications.by_app_id.get(&text::guid(app_id?)?)?)),
        "servicePrincipal" => wire
            .service_principal_object_id
            .as_deref()
            .and_then(text::guid_bits)
            .or_else(|| known.principal_of(app_id?)),
        _ => None,
    }
}

/// Who added which credential; gives the people among them.
pub(crate) async fn audits(
    walk: &Walk<'_>,
    known: &Known<'_>,
    started_at: Timestamp,
    tally: &mut Tally,
) -> BTreeSet<String> {
    let mut people = BTreeSet::new();
    let mut flawed = false;
    let Ok(since) = started_at.checked_sub(SignedDuration::from_hours(24 * DAYS)) else {
        tally.report(Cause::Internal);
        return people;
    };
    let params = [("since", Param::Instant(since))];
    list(walk.engine, "listCredentialAudits", &params, tally, |wire: DirectoryAudit| {
        if adds_credentials(&wire) {
            flawed |= !additions(walk, known, &wire, &mut people)?;
        }
        Ok(Some(wire.id))
    })
    .await;
    if flawed {
        tally.report(Cause::ResponseMalformed);
    }
    people
}

/// The credentials that one change added; `false` when the change is not of the known form.
fn additions(
    walk: &Walk<'_>,
    known: &Known<'_>,
    wire: &DirectoryAudit,
    people: &mut BTreeSet<String>,
) -> Result<bool, SinkError> {
    let time = wire.activity_date_time.as_deref().and_then(text::instant);
    let (Some(time), Some(targets)) = (time, wire.target_resources.as_deref()) else { return Ok(false) };
    let (targets, mut flawed) = readable(targets);
    let by = initiator(walk, known, wire.initiated_by.as_ref());
    for target in targets {
        // A change names the application's service principal or owner beside what was changed.
        let Some(properties) = target.modified_properties.as_deref().filter(|list| !list.is_empty()) else { continue };
        let (properties, broken) = readable(properties);
        let added = added_keys(&properties.collect::<Vec<_>>()).filter(|_| !broken);
        let (Some(added), Some(holder)) = (added, holder_of(target)) else {
            flawed = true;
            continue;
        };
        let Some((by, person)) = &by else { continue };
        for key in added {
            let there = text::guid_bits(&key).zip(text::guid_bits(&holder));
            if !there.is_some_and(|(key, holder)| known.keys.has(key, holder)) {
                continue;
            }
            let credential = walk.map.id(NodeKind::Credential, &format!("{holder}/{key}"));
            let mut edge = walk.map.edge(credential, EdgeKind::CreatedBy, by.clone(), "listCredentialAudits");
            edge.object = text::opaque_id(&wire.id).map(str::to_owned);
            edge.since = Some(time);
            walk.edge(edge)?;
            if let Some(person) = person {
                walk.node(walk.map.node(NodeKind::Human, person, "listCredentialAudits", BTreeMap::new()))?;
                people.insert(person.clone());
            }
        }
    }
    Ok(!flawed)
}

fn holder_of(target: &ChangedResource) -> Option<String> {
    let id = target.id.as_deref().and_then(text::guid);
    id.filter(|_| matches!(target.kind.as_deref(), Some("Application" | "ServicePrincipal")))
}

/// Who made a change, and the id when that is a person. The vendor's own services have no id here.
fn initiator(walk: &Walk<'_>, known: &Known<'_>, by: Option<&Initiator>) -> Option<(NodeId, Option<String>)> {
    let by = by?;
    if let Some(user) = by.user.as_ref().and_then(|user| text::guid(user.id.as_deref()?)) {
        return Some((walk.map.id(NodeKind::Human, &user), Some(user)));
    }
    let principal = by.app.as_ref().and_then(|app| text::guid(app.service_principal_id.as_deref()?))?;
    Some((walk.map.id(known.kind(&principal), &principal), None))
}
