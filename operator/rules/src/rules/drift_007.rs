//! DRIFT-007: an identity holds authority outside of the purpose that was declared for it.
//!
//! Only a declaration of the customer makes a purpose, by the identity's id; without one nothing is said. It is never
//! guessed from names, tags or use. Only proven grants count: what a grant of unknown weight reaches is not known. What it
//! could do as another identity is that one's purpose; the grant by which it could is its own.

use sv0_graph::{Graph, NodeKind, attr};

use crate::assemble;
use crate::authority::{COLLECTIONS, Grant, MEMBERS};
use crate::cut;
use crate::finding::{Claim, EvidenceClass, Family};
use crate::identity::Identity;
use crate::rule::{Context, Draft, Meta, Purpose, Reach, Rule, Scope};
use crate::severity::Exposure;
use crate::text::counted;

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        id: "DRIFT-007",
        version: "1.0.0",
        family: Family::ScopeDrift,
        category: "OutsidePurpose",
        title: "An identity holds authority outside of its declared purpose",
        narrower: None,
        why: "It can do what nobody meant it to do.",
        remediation: &[
            "Remove the named grant.",
            "If it is needed, have the owner of the purpose amend spec.declaredPurposes of the Estate.",
        ],
        standards: &["OWASP NHI5", "OWASP NHI8", "NIST 800-53 AC-6"],
        requires: &["servicePrincipals", COLLECTIONS[0], COLLECTIONS[1], MEMBERS],
        evidence: &[EvidenceClass::Direct],
        scope: Scope::Core,
        story: "A job that was made to read a calendar can also read every mailbox.",
    },
    check,
};

fn check(context: &Context<'_>, identity: &Identity<'_>) -> Option<Draft> {
    let graph = context.graph;
    let purpose = context.config.declared_purposes.get(&identity.node.id.to_string())?;
    let outside: Vec<&Grant<'_>> =
        identity.authority.proven.iter().filter(|grant| leaves(graph, purpose, grant)).collect();
    let first = outside.first()?;
    let more = match outside.len() - 1 {
        0 => String::new(),
        more => format!(" and {}", counted(more, "more grant", "more grants")),
    };
    let title = format!("\"{}\" holds {}{more} outside of its declared purpose", identity.name, first.short(graph));
    let reaches = first.sensitive.map(|domain| format!(", and can reach {}", domain.as_str())).unwrap_or_default();
    let as_strong = outside.iter().copied().filter(|grant| grant.tier == first.tier);
    let reach = Reach {
        tier: first.tier,
        sensitive: first.sensitive.is_some().into(),
        says: format!("It holds {}: it {}{reaches}", first.sentence(graph), first.tier.meaning()),
        hops: assemble::grant_hops(graph, &assemble::itself(identity), first),
        cut: cut::of_grants(graph, identity, as_strong, "that authority"),
    };
    let proofs = outside.iter().flat_map(|grant| assemble::grant_proofs(graph, "It", grant)).collect();
    Some(Draft {
        claim: Claim::Full,
        exposure: Exposure::X1,
        title,
        proofs,
        narrowed: Vec::new(),
        entry: None,
        reach: Some(reach),
    })
}

/// Whether the grant is on a system, or reaches data, that the purpose does not name.
fn leaves(graph: &Graph, purpose: &Purpose, grant: &Grant<'_>) -> bool {
    let target = graph.node(grant.edge.to);
    let ids = [Some(target.id.vendor_id()), target.text(attr::APP_ID).filter(|_| target.kind != NodeKind::System)];
    let named = |known: &String| ids.iter().flatten().any(|id| id.eq_ignore_ascii_case(known));
    let system = purpose.systems.as_ref().is_some_and(|systems| !systems.iter().any(named));
    let domain = match (&purpose.domains, grant.sensitive) {
        (Some(domains), Some(domain)) => !domains.contains(domain.word()),
        _ => false,
    };
    system || domain
}
