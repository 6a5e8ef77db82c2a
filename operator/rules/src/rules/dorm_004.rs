//! DORM-004: every automation of an identity is switched off or deleted, and its authority stays.
//!
//! Automations come from the connectors of the systems that run them; Entra alone names none, and then nothing is said.
//! Neither is anything said where the ties between automations and the identity were not read to their end, where the
//! state of one automation is not known, where one may run as it or as another identity (its id is of several objects), or
//! where a recent sign-in without a user proves that something runs.
//!
//! An automation is deleted when its system tells so of one that it keeps for a while. One that is just not listed any more
//! is not counted: what is not there tells of no tie to this identity.
//!
//! Only the platform hands a managed identity to automations: where that system was read completely and the identity
//! trusts nobody outside, nothing else uses it. Whoever holds a credential or is trusted can use any other identity, so that the claim is then the narrower one.

use std::collections::BTreeSet;

use sv0_graph::{CoverageState, NodeKind, attr};

use crate::activity;
use crate::automations::{self, Automation, Automations, Run};
use crate::evidence::{self, Proof};
use crate::finding::{Claim, EvidenceClass, Family, Narrowed};
use crate::identity::{Home, Identity};
use crate::rule::{Context, Draft, Meta, Rule, Scope};
use crate::severity::{Exposure, Tier};
use crate::text::counted;

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        id: "DORM-004",
        version: "1.2.0",
        family: Family::DormantAuthority,
        category: "AutomationStoppedAuthorityRemains",
        title: "The automations of an identity are switched off or in the recycle bin, and its authority remains",
        narrower: Some("No automation known here uses the identity any more, and its authority remains"),
        why: "Nobody misses authority that nothing uses, nor sees who else uses it.",
        remediation: &[
            "Ask whether something else uses the identity; its sign-ins tell.",
            "Remove the named grants, then disable it; a deleted automation may be restored, so wait before deleting.",
            "Remove its credentials and trusts.",
        ],
        standards: &["OWASP NHI1", "ATT&CK T1078.004", "CIS v8.1 5.3", "CIS v8.1 6.2", "NIST 800-53 AC-2(3)"],
        requires: &["servicePrincipals"],
        evidence: &[EvidenceClass::Direct, EvidenceClass::Temporal],
        scope: Scope::Core,
        story: "The nightly export was switched off in spring; its identity still changes production.",
    },
    check,
};

fn check(context: &Context<'_>, identity: &Identity<'_>) -> Option<Draft> {
    if identity.home == Home::Microsoft || identity.authority.tier > Tier::P2 {
        return None;
    }
    let graph = context.graph;
    let Automations { known: all, doubtful } = Automations::of(context, identity);
    let stopped = |automation: &Automation<'_>| matches!(automation.run, Run::Off | Run::Deleted);
    let read = |automation: &Automation<'_>| automations::read_whole(graph, automation.tie).is_true();
    let runs = identity.last_unattended.recent(context.config.rare_use_days, context.as_of);
    // One that may be tied to it must have stopped too, and is not counted.
    let count = all.iter().filter(|automation| automation.tied.is_true()).count();
    let known = count > 0 && doubtful == 0;
    if !known || runs || !all.iter().all(|automation| stopped(automation) && read(automation)) {
        return None;
    }
    let alone = nobody_else(context, identity) && read_completely(context, &all);
    let count = counted(count, "automation", "automations");
    let (claim, title, narrowed) = if alone {
        let title = format!("\"{}\" keeps its authority, and its {count} no longer run", identity.name);
        (Claim::Full, title, Vec::new())
    } else {
        let narrowed = Narrowed {
            claim: "That nothing else uses it".to_owned(),
            reason: "Automations of systems that are not connected or not fully read may use it.".to_owned(),
        };
        let title = format!("\"{}\" keeps its authority, and no automation known here uses it", identity.name);
        (Claim::Narrower, title, vec![narrowed])
    };
    let used = activity::proof_of_identity(context, identity, attr::LAST_UNATTENDED_USE_AT);
    let tied = all.iter().filter(|automation| automation.tied.is_true());
    let proofs = tied.filter_map(|automation| proof(context, automation)).chain(used).collect();
    Some(Draft { claim, exposure: Exposure::X2, title, proofs, narrowed, entry: None, reach: None })
}

/// Whether only the platform hands it out: no workload outside is trusted to act as it.
fn nobody_else(context: &Context<'_>, identity: &Identity<'_>) -> bool {
    identity.node.kind == NodeKind::ManagedIdentity
        && identity.federations.is_empty()
        && context.graph.complete_for(identity.ix, "federatedCredentials").0.is_true()
}

/// Whether everything was read of each system that runs one of the automations.
fn read_completely(context: &Context<'_>, all: &[Automation<'_>]) -> bool {
    let instances: BTreeSet<usize> = all.iter().map(|automation| automation.tie.source.instance()).collect();
    instances.into_iter().all(|at| {
        let coverage = context.graph.instances().get(at).map(|instance| instance.header.coverage.as_slice());
        coverage.is_some_and(|records| records.iter().all(|record| record.state == CoverageState::Complete))
    })
}

fn proof(context: &Context<'_>, automation: &Automation<'_>) -> Option<Proof> {
    let (key, says) = match automation.run {
        Run::Deleted => (attr::DELETED_AT, "is deleted"),
        _ => (attr::ENABLED, "is switched off"),
    };
    let claim = format!("The {} {says}.", automation.label(context.graph));
    evidence::of_fact(context.graph, automation.ix, key, EvidenceClass::Direct, claim)
}
