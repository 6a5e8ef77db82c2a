//! XSYS-006: an identity of a non-production environment changes production, or reads sensitive data there.
//!
//! Which environment something belongs to is the customer's declaration, nearest first: identity or application, scope,
//! a declared pattern of names, the home tenant of the application, the tenant. Where one side has no environment, or
//! declarations contradict each other, nothing is said.

use sv0_graph::{NodeKind, attr};

use crate::assemble;
use crate::authority::Grant;
use crate::cut;
use crate::environment::{self, By, Label, Place};
use crate::evidence::{self, Proof};
use crate::finding::{Claim, Evidence, EvidenceClass, EvidenceSource, Family};
use crate::identity::{Home, Identity};
use crate::rule::{Context, Draft, Meta, Reach, Rule, Scope};
use crate::severity::{Exposure, Tier};
use crate::text::display_name;

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        id: "XSYS-006",
        version: "1.1.0",
        family: Family::CrossSystemAuthorityChain,
        category: "NonProductionReachesProduction",
        title: "An identity of a non-production environment has authority over production",
        narrower: None,
        why: "Non-production is guarded less, and a break-in there becomes one in production.",
        remediation: &[
            "Give production an identity of its own, with credentials that stay there.",
            "Remove the named grants, or bound them to a non-production scope.",
            "If the environment is declared wrongly, correct spec.environments of the Estate.",
        ],
        standards: &["OWASP NHI8", "ATT&CK T1199", "CIS v8.1 16.8", "NIST 800-53 SC-32", "NIST 800-53 AC-4"],
        requires: &["servicePrincipals", "directoryRoleAssignments", "appRoleAssignments"],
        evidence: &[EvidenceClass::Direct],
        scope: Scope::Core,
        story: "A service principal made for development now administers production.",
    },
    check,
};

/// A grant that reaches production.
struct Reached<'a, 'g> {
    grant: &'a Grant<'g>,
    label: Label<'a>,
}

fn check(context: &Context<'_>, identity: &Identity<'_>) -> Option<Draft> {
    if identity.home == Home::Microsoft || context.config.environments.is_empty() {
        return None;
    }
    let source = source(context, identity).filter(|label| !label.production)?;
    let counts = |grant: &&Grant<'_>| grant.tier <= Tier::P2 || grant.sensitive.is_some();
    let reached: Vec<Reached<'_, '_>> = identity
        .authority
        .proven
        .iter()
        .filter(counts)
        .filter_map(|grant| {
            let label = target(context, grant).filter(|label| label.production)?;
            Some(Reached { grant, label })
        })
        .collect();
    let first = reached.first()?;
    let title = format!(
        "\"{}\" of environment \"{}\" has authority over \"{}\"",
        identity.name,
        display_name(source.name),
        display_name(first.label.name)
    );
    let mut proofs = vec![declared(&source, &format!("\"{}\"", identity.name))];
    for reached in &reached {
        let target = assemble::label(context.graph, reached.grant.edge.to);
        proofs.push(declared(&reached.label, &format!("What it reaches, {target},")));
        let claim = format!("It holds {} in production.", reached.grant.sentence(context.graph));
        let class = if reached.grant.members.is_empty() { EvidenceClass::Direct } else { EvidenceClass::Structural };
        proofs.push(evidence::of_edge(context.graph, reached.grant.edge, class, claim));
    }
    let exposure = Exposure::X1;
    let reach = reach(context, identity, &reached, exposure);
    Some(Draft { claim: Claim::Full, exposure, title, proofs, narrowed: Vec::new(), entry: None, reach })
}

/// Where the identity belongs. An application of another tenant belongs where it lives, unless it is named itself.
fn source<'a>(context: &'a Context<'_>, identity: &'a Identity<'_>) -> Option<Label<'a>> {
    let graph = context.graph;
    let application = identity.application.map(|edge| graph.node(edge.from));
    let own = identity.node;
    let mut objects = vec![own.id.vendor_id()];
    objects.extend(application.map(|node| node.id.vendor_id()));
    objects.extend(own.text(attr::APP_ID).or_else(|| application?.text(attr::APP_ID)));
    let tenant = own.text(attr::HOME_TENANT).unwrap_or_else(|| own.id.tenant());
    let place = Place { objects, scope: None, name: own.text(attr::NAME), tenant };
    environment::of(&context.config.environments, &place)
}

/// Where a grant reaches: the scope or resource that it is about, or the tenant.
fn target<'a>(context: &'a Context<'_>, grant: &'a Grant<'_>) -> Option<Label<'a>> {
    let node = context.graph.node(grant.edge.to);
    let bound = grant.edge.scope.as_deref().filter(|scope| *scope != "/");
    let scope = if node.kind == NodeKind::Scope { Some(node.id.vendor_id()) } else { bound };
    let mut objects = Vec::new();
    if !matches!(node.kind, NodeKind::System | NodeKind::Scope) {
        objects.push(node.id.vendor_id());
        objects.extend(node.text(attr::APP_ID));
    }
    let name = if node.kind == NodeKind::System { None } else { node.text(attr::NAME) };
    environment::of(&context.config.environments, &Place { objects, scope, name, tenant: node.id.tenant() })
}

/// What it reaches in production, when that is not all that it reaches. Acting as others counts where a grant over
/// production lets it: what it comes to is in the same tenant. Where others belong is declared for them.
fn reach(
    context: &Context<'_>,
    identity: &Identity<'_>,
    reached: &[Reached<'_, '_>],
    exposure: Exposure,
) -> Option<Reach> {
    let there = |grant: &Grant<'_>| reached.iter().any(|reached| std::ptr::eq(reached.grant.edge, grant.edge));
    let authority = &identity.authority;
    let within = |grant: Option<&Grant<'_>>| grant.is_some_and(there);
    if authority.decisive.iter().all(there) && authority.compositions().all(|way| within(way.first_grant())) {
        return None;
    }
    let graph = context.graph;
    let first = reached.first()?.grant;
    let data = reached.iter().map(|reached| reached.grant).find(|grant| grant.sensitive.is_some());
    let data = data.filter(|grant| !std::ptr::eq(grant.edge, first.edge));
    let told: Vec<&Grant<'_>> = [Some(first), data].into_iter().flatten().collect();
    let (tier, sensitive) = assemble::heaviest(told.iter().map(|grant| grant.weight()), exposure, Claim::Full)?;
    let data = told.iter().find_map(|grant| grant.sensitive);
    let names: Vec<String> = told.iter().map(|grant| grant.short(graph)).collect();
    let domain = data.map(|domain| format!(", and can reach {}", domain.as_str())).unwrap_or_default();
    let itself = assemble::itself(identity);
    let as_strong = reached.iter().map(|reached| reached.grant).filter(|grant| grant.tier == first.tier);
    Some(Reach {
        tier,
        sensitive,
        says: format!("In production it holds {}: it {}{domain}", names.join(" and "), first.tier.meaning()),
        hops: told.iter().flat_map(|grant| assemble::grant_hops(graph, &itself, grant)).collect(),
        cut: cut::of_grants(graph, identity, as_strong, "that authority"),
    })
}

/// The customer's own word. Following a pattern of names is a derivation, `environment-name/1`.
fn declared(label: &Label<'_>, what: &str) -> Proof {
    let kind = if label.production { "production" } else { "non-production" };
    let by_pattern = if label.by == By::Name { " (environment-name/1)" } else { "" };
    let claim = format!(
        "{what} belongs to the {kind} environment \"{}\", which the Estate declares {}{by_pattern}.",
        display_name(label.name),
        label.by.as_str()
    );
    let source = EvidenceSource {
        connector: "estate".to_owned(),
        api: "Estate default".to_owned(),
        version: "v1alpha1".to_owned(),
        object: display_name(label.named),
        field: label.by.field().to_owned(),
    };
    let class = if label.by == By::Name { EvidenceClass::Structural } else { EvidenceClass::Direct };
    let value = Some(display_name(label.name));
    let evidence = Evidence { class, claim, source, value, observed_at: None };
    Proof { evidence, dependency: None, mark: None }
}
