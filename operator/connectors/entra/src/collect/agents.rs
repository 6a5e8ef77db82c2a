//! Agent identities, the blueprints that make them, and the people who answer for both.

use std::collections::{BTreeSet, HashMap};

use sv0_connector::{Cause, Tally, text};
use sv0_graph::{EdgeKind, NodeKind, attr};

use crate::client::list;
use crate::collect::Walk;
use crate::collect::identities::{Applications, Principals, note_keys};
use crate::collect::pairs::Pairs;
use crate::collect::relations::{self, Accountable};
use crate::model::{AgentIdentity, Application};

/// What agents and blueprints taught.
#[derive(Default)]
pub(crate) struct Agents {
    /// Object ids of agent identities, sorted.
    pub(crate) identities: BTreeSet<String>,
    /// Object ids of the blueprints' applications, sorted.
    pub(crate) blueprints: BTreeSet<String>,
}

/// All agent identities and blueprints. The principals learn that the former exist, the applications that the latter
/// do: what is asked about all of them is then asked about these too.
pub(crate) async fn read(
    walk: &Walk<'_>,
    applications: &mut Applications,
    principals: &mut Principals,
    identities: &mut Tally,
    blueprints: &mut Tally,
) -> Agents {
    let (made, mut found) = futures::join!(agents(walk, identities), blueprint_list(walk, applications, blueprints));
    for (app_id, id) in &found.by_app_id {
        applications.by_app_id.entry(app_id.clone()).or_insert_with(|| id.clone());
    }
    applications.keys.take(&mut found.keys);
    for (id, blueprint) in &made {
        principals.kinds.insert(id.clone(), NodeKind::AgentIdentity);
        let Some(application) = blueprint.as_ref().and_then(|app_id| applications.by_app_id.get(app_id)) else {
            continue;
        };
        let from = walk.map.id(NodeKind::Application, application);
        let to = walk.map.id(NodeKind::AgentIdentity, id);
        if walk.edge(walk.map.edge(from, EdgeKind::Instantiates, to, "listAgentIdentities")).is_err() {
            identities.report(Cause::Internal);
        }
    }
    Agents { identities: made.into_keys().collect(), blueprints: found.by_app_id.into_values().collect() }
}

/// Object id of each agent identity, with the application id of its blueprint.
async fn agents(walk: &Walk<'_>, tally: &mut Tally) -> HashMap<String, Option<String>> {
    let mut made = HashMap::new();
    list(walk.engine, "listAgentIdentities", &[], tally, |wire: AgentIdentity| {
        let (Some(id), Some(row)) = (text::guid(&wire.id), walk.map.agent_identity(&wire)) else { return Ok(None) };
        walk.node(row)?;
        made.insert(id.clone(), wire.agent_identity_blueprint_id.as_deref().and_then(text::guid));
        Ok(Some(id))
    })
    .await;
    made
}

/// What the blueprints taught.
#[derive(Default)]
struct Blueprints {
    /// Application id to object id.
    by_app_id: HashMap<String, String>,
    /// Key and holder of each credential.
    keys: Pairs,
}

/// All blueprints. One that the list of applications does not show must tell its credentials here.
async fn blueprint_list(walk: &Walk<'_>, applications: &Applications, tally: &mut Tally) -> Blueprints {
    let operation = "listAgentIdentityBlueprints";
    let mut found = Blueprints::default();
    let mut flawed = false;
    list(walk.engine, operation, &[], tally, |wire: Application| {
        let (Some(id), Some(app_id), Some(rows)) =
            (text::guid(&wire.id), text::guid(&wire.app_id), walk.map.application(&wire, operation))
        else {
            return Ok(None);
        };
        note_keys(&id, &rows, &mut found.keys);
        flawed |= !walk.keep(rows)? && !applications.by_app_id.contains_key(&app_id);
        found.by_app_id.insert(app_id, id.clone());
        Ok(Some(id))
    })
    .await;
    if flawed {
        tally.report(Cause::ResponseMalformed);
    }
    found
}

/// Sponsors of agent identities and blueprints; gives the people among them.
pub(crate) async fn sponsors(
    walk: &Walk<'_>,
    agents: &Agents,
    kinds: &HashMap<String, NodeKind>,
    tally: &mut Tally,
) -> BTreeSet<String> {
    let mut people = BTreeSet::new();
    if !walk.accepts("listSponsorsOfAgentIdentity", tally) {
        return people;
    }
    for (operation, holders, kind) in [
        ("listSponsorsOfAgentIdentity", &agents.identities, NodeKind::AgentIdentity),
        ("listSponsorsOfBlueprint", &agents.blueprints, NodeKind::Application),
    ] {
        let holders: Vec<String> = holders.iter().cloned().collect();
        let kind_of = |_: &str| kind;
        let accountable = Accountable {
            edge: EdgeKind::Sponsors,
            count: attr::SPONSOR_COUNT,
            holder_kind: &kind_of,
            kinds,
            holders: holders.iter().map(String::as_str).collect(),
        };
        people.extend(relations::accountable_singly(walk, operation, &holders, &accountable, tally).await);
    }
    people
}
