//! XSYS-005: one identity serves automations of several systems.
//!
//! Automations that run count, as connectors of their systems tell them. Where every one of them has recorded owners,
//! those that the same people own count once: what one team runs together shares an identity by design.
//!
//! Entra alone tells which workloads an identity trusts. A trust proves that a workload may sign in, not that it does:
//! what is only reached with trusts is the narrower claim. Branches and environments of one repository are one workload;
//! an expression that may admit several is not counted (XSYS-003 tells of it).

use std::collections::BTreeSet;

use jiff::Timestamp;
use sv0_graph::{Edge, EdgeKind, Graph, NodeIx, Tri, attr};

use crate::automations::{Automation, Automations};
use crate::evidence::{self, Proof};
use crate::finding::{Claim, EvidenceClass, Family, Narrowed};
use crate::identity::{Home, Identity};
use crate::rule::{Context, Draft, Meta, Rule, Scope};
use crate::severity::Exposure;
use crate::text::{counted, display_name};
use crate::tiers::{self, IssuerForm};

/// Systems over which sharing is worse than convenience.
const SEVERAL: usize = 2;

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        id: "XSYS-005",
        version: "1.1.0",
        family: Family::CrossSystemAuthorityChain,
        category: "SharedIdentity",
        title: "One identity serves automations of several systems",
        narrower: Some("Workloads of one or several systems may sign in as one identity"),
        why: "Whoever takes over one of them acts with the authority of all, and no record tells which one acted.",
        remediation: &[
            "Give each automation an identity of its own, with the authority that it needs.",
            "Begin with the system that is trusted least.",
            "Remove the trusts and credentials that are left over from the shared identity.",
        ],
        standards: &["OWASP NHI9", "ATT&CK T1550.001", "CIS v8.1 5.4", "NIST 800-53 IA-4", "NIST 800-53 AC-6"],
        requires: &["servicePrincipals", "applications", "federatedCredentials"],
        evidence: &[EvidenceClass::Direct, EvidenceClass::Structural],
        scope: Scope::Core,
        story: "One deployment identity for the pipeline, the cluster and the infrastructure tool.",
    },
    check,
};

/// A workload that the identity trusts.
struct Trusted<'g> {
    edge: &'g Edge,
    issuer: &'g str,
    workload: &'g str,
}

fn check(context: &Context<'_>, identity: &Identity<'_>) -> Option<Draft> {
    if identity.home == Home::Microsoft {
        return None;
    }
    let graph = context.graph;
    let automations = Automations::of(context, identity);
    let running: Vec<&Automation<'_>> = automations.live().collect();
    let trusted = trusted(graph, identity, context.as_of);
    let least = usize::try_from(context.config.shared_by_min).unwrap_or(usize::MAX);
    let count = apart(context, &running);
    let systems: BTreeSet<String> = running.iter().map(|automation| system(graph, automation.ix)).collect();
    let (users, places) = if count >= least && systems.len() >= SEVERAL {
        (count, systems.len())
    } else {
        let issuers = trusted.iter().map(|trusted| trusted.issuer.to_ascii_lowercase());
        let all: BTreeSet<String> = systems.iter().cloned().chain(issuers).collect();
        (count + trusted.len(), all.len())
    };
    if users < least {
        return None;
    }
    let full = count >= least && systems.len() >= SEVERAL;
    let claim = if full { Claim::Full } else { Claim::Narrower };
    let exposure = if places >= SEVERAL { Exposure::X1 } else { Exposure::X3 };
    let where_ = if places == 1 { "one system".to_owned() } else { format!("{places} systems") };
    let (title, trusted) = if full || count >= least && trusted.is_empty() {
        (format!("\"{}\" serves {users} automations of {where_}", identity.name), Vec::new())
    } else {
        (format!("{users} workloads of {where_} may sign in as \"{}\"", identity.name), trusted)
    };
    let mut narrowed = if full { Vec::new() } else { narrowed(places, !trusted.is_empty()) };
    narrowed.extend(doubtful(automations.doubtful));
    let proofs = running.iter().map(|automation| automation.proof(graph));
    let proofs = proofs.chain(trusted.iter().map(|trusted| trust(graph, trusted))).collect();
    Some(Draft { claim, exposure, title, proofs, narrowed, entry: None, reach: None })
}

/// How many of them nobody runs together: those of the same owners count once, where the owners of all are recorded. Where
/// a record of an owner may hold or not, as few as either would make.
fn apart(context: &Context<'_>, running: &[&Automation<'_>]) -> usize {
    let count = |counts: fn(Tri) -> bool| {
        let owners = |automation: &&Automation<'_>| {
            let records = context.graph.incoming(automation.ix, EdgeKind::Owns);
            let records = records.filter(|edge| counts(edge.holds(context.as_of)));
            // One person is one, whatever system names it.
            records.map(|edge| context.joins.meant(edge.from)).collect()
        };
        let owners: Vec<BTreeSet<NodeIx>> = running.iter().map(owners).collect();
        if owners.iter().any(BTreeSet::is_empty) { running.len() } else { owners.iter().collect::<BTreeSet<_>>().len() }
    };
    count(Tri::is_true).min(count(|held| !held.is_false()))
}

fn system(graph: &Graph, ix: NodeIx) -> String {
    let id = &graph.node(ix).id;
    format!("{}:{}", id.system(), id.tenant()).to_ascii_lowercase()
}

/// The workloads that may sign in, each once, in the order of the graph.
fn trusted<'g>(graph: &'g Graph, identity: &Identity<'g>, as_of: Timestamp) -> Vec<Trusted<'g>> {
    let mut seen = BTreeSet::new();
    let one = |edge: &'g Edge| {
        let subject = graph.node(edge.from);
        let issuer = subject.text(attr::ISSUER)?;
        let issuer = issuer.strip_suffix('/').unwrap_or(issuer);
        let workload = workload(issuer, subject.text(attr::SUBJECT)?);
        Some(Trusted { edge, issuer, workload })
    };
    let all = identity.trusts(as_of).filter_map(one);
    all.filter(|trusted| seen.insert((trusted.issuer.to_ascii_lowercase(), trusted.workload))).collect()
}

/// The part of a subject that names the workload: branches, tags and environments of a repository are one, and so are
/// the phases of a workspace.
fn workload<'a>(issuer: &str, subject: &'a str) -> &'a str {
    let cut = match tiers::multi_tenant_issuer(issuer) {
        Some(IssuerForm::GitHub | IssuerForm::GitLab) => nth_colon(subject, 2),
        Some(IssuerForm::Terraform) => nth_colon(subject, 6),
        Some(IssuerForm::Other) | None => None,
    };
    cut.and_then(|at| subject.get(..at)).unwrap_or(subject)
}

fn nth_colon(text: &str, n: usize) -> Option<usize> {
    text.match_indices(':').nth(n - 1).map(|(at, _)| at)
}

fn narrowed(places: usize, by_trust: bool) -> Vec<Narrowed> {
    let mut all = Vec::new();
    if by_trust {
        all.push(Narrowed {
            claim: "That each of the trusted workloads uses it".to_owned(),
            reason: "A trust tells who may sign in; which workload did is not recorded here.".to_owned(),
        });
    }
    if places < SEVERAL {
        all.push(Narrowed {
            claim: "That it is shared between systems".to_owned(),
            reason: "All that is known to use it stands in one system.".to_owned(),
        });
    }
    all
}

fn doubtful(count: usize) -> Option<Narrowed> {
    (count > 0).then(|| Narrowed {
        claim: format!("That {} it", counted(count, "more automation uses", "more automations use")),
        reason: "The id that they run as is of several objects here.".to_owned(),
    })
}

fn trust(graph: &Graph, trusted: &Trusted<'_>) -> Proof {
    let claim = format!(
        "The workload \"{}\" of {} may sign in as it.",
        display_name(trusted.workload),
        display_name(trusted.issuer)
    );
    evidence::of_edge(graph, trusted.edge, EvidenceClass::Direct, claim)
}
