//! CRED-012: a credential that still signs in, added by somebody whose account is disabled or deleted.
//!
//! Entra shows a secret's value once, to whoever adds it: the person who left may have kept it. Who added a credential
//! stands in the vendor's audit records of the last 30 days only, so that older credentials are never judged here. An
//! application that added a credential is no person and leaves with nobody.
//!
//! The account is *gone* when it is disabled or in the recycle bin. Where it is in neither list and both were read to
//! their end, the narrower claim is made; where one of them was not, nothing is said.

use sv0_graph::{Edge, EdgeKind, NodeKind, attr};

use crate::evidence::{self, Proof};
use crate::finding::{Claim, EvidenceClass, Family, Narrowed};
use crate::identity::{Credential, Identity};
use crate::owners::{self, OwnerState};
use crate::rule::{Context, Draft, Meta, Rule, Scope};
use crate::severity::Exposure;
use crate::text::{counted, date, display_name};

/// Where accounts of people are looked up.
const ACCOUNTS: [&str; 2] = ["ownerAccounts", "deletedUsers"];

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        id: "CRED-012",
        version: "1.0.0",
        family: Family::CredentialLifecycle,
        category: "OutlivesWhoAddedIt",
        title: "A credential still signs in, and the account that added it is disabled or deleted",
        narrower: Some("A credential still signs in, and the account that added it can be found nowhere"),
        why: "Who added it saw its value, and leaving takes that from nobody.",
        remediation: &[
            "Add a new credential, move the automation to it, then delete the named key id.",
            "Better: let the automation sign in by federation or a managed identity, which nobody can take along.",
            "Make the rotation of what leavers added a step of offboarding.",
        ],
        standards: &[
            "OWASP NHI1",
            "OWASP NHI7",
            "ATT&CK T1078",
            "CIS v8.1 5.3",
            "NIST 800-53 AC-2(3)",
            "NIST 800-53 PS-4",
        ],
        requires: &["servicePrincipals", "applications", "directoryAudits", "ownerAccounts", "deletedUsers"],
        evidence: &[EvidenceClass::Direct, EvidenceClass::Temporal],
        scope: Scope::Core,
        story: "An engineer left last week; the secret that she made the week before works until next year.",
    },
    check,
};

/// A credential with who added it.
struct Added<'a, 'g> {
    credential: &'a Credential,
    edge: &'g Edge,
    state: OwnerState,
}

fn check(context: &Context<'_>, identity: &Identity<'_>) -> Option<Draft> {
    let all: Vec<Added<'_, '_>> =
        identity.usable(context.as_of).filter_map(|credential| added(context, credential)).collect();
    let proven = all.iter().any(|added| added.state.gone());
    let told: Vec<&Added<'_, '_>> = all.iter().filter(|added| added.state.gone() == proven).collect();
    let first = told.first()?;
    let what = match told.len() {
        1 => format!("a {} that", first.credential.kind.as_str()),
        many => format!("{} that", counted(many, "credential", "credentials")),
    };
    let (claim, title, narrowed) = if proven {
        let gone = if first.state == OwnerState::Deleted { "deleted" } else { "disabled" };
        (Claim::Full, format!("\"{}\" can sign in with {what} a {gone} account added", identity.name), Vec::new())
    } else {
        let narrowed = Narrowed {
            claim: "That the account that added it is disabled or deleted".to_owned(),
            reason: "It is neither among the accounts nor in the recycle bin, which keeps deleted ones for 30 days."
                .to_owned(),
        };
        let title = format!("\"{}\" can sign in with {what} an account added that is not found", identity.name);
        (Claim::Narrower, title, vec![narrowed])
    };
    let proofs = told.iter().flat_map(|added| proofs(context, added)).collect();
    Some(Draft { claim, exposure: Exposure::X1, title, proofs, narrowed, entry: None, reach: None })
}

/// The credential when a person added it who is not there any more, or cannot be found.
fn added<'a, 'g>(context: &Context<'g>, credential: &'a Credential) -> Option<Added<'a, 'g>> {
    let graph = context.graph;
    let by_person = |edge: &&Edge| graph.node(edge.to).kind == NodeKind::Human;
    // Of several records of one key the last one counts: it was taken away in between.
    let records = graph.out(credential.ix, EdgeKind::CreatedBy).iter().filter(by_person);
    let edge = records.max_by_key(|edge| edge.since)?;
    let state = owners::state(graph, edge.to, None);
    let looked_up = || ACCOUNTS.iter().all(|collection| graph.complete_for(edge.to, collection).0.is_true());
    let told = state.gone() || (matches!(state, OwnerState::Unresolved(_)) && looked_up());
    told.then_some(Added { credential, edge, state })
}

fn proofs(context: &Context<'_>, added: &Added<'_, '_>) -> Vec<Proof> {
    let graph = context.graph;
    let label = added.credential.label(graph);
    let who = added.edge.to;
    let name = owners::name(graph, who).unwrap_or_else(|| display_name(graph.node(who).id.vendor_id()));
    let when = added.edge.since.map(|since| format!(" on {}", date(since))).unwrap_or_default();
    let claim = format!("The {label} was added by \"{name}\"{when}.");
    let record = evidence::of_edge(graph, added.edge, EvidenceClass::Temporal, claim);
    let gone = match added.state {
        OwnerState::Deleted => {
            let claim = format!("The account \"{name}\" is deleted.");
            evidence::of_fact(graph, who, attr::DELETED_AT, EvidenceClass::Direct, claim)
        }
        OwnerState::Disabled => {
            let claim = format!("The account \"{name}\" is disabled.");
            evidence::of_fact(graph, who, attr::ENABLED, EvidenceClass::Direct, claim)
        }
        _ => {
            let claim = format!("No account \"{name}\" exists; the accounts asked for were read completely.");
            evidence::of_absence(graph, who, "id", "ownerAccounts", claim)
        }
    };
    let ends = evidence::of_fact(
        graph,
        added.credential.ix,
        attr::VALID_TO,
        EvidenceClass::Direct,
        format!("It can sign in with the {label}."),
    );
    [Some(record), gone, ends].into_iter().flatten().collect()
}
