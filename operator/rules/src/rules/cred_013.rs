//! CRED-013: nothing in the tenant limits the credentials of applications, and ones that live too long are in use.
//!
//! The claim is that there is no limit at all: the tenant's own policy for credentials enforces none, and no policy for
//! single applications does either. Where some policy enforces one, nothing is said, whatever it leaves out: which
//! applications a policy exempts is not collected. It explains findings about lifetime and never stands alone: that a
//! credential is unused or was not rotated is nothing that a policy prevents.

use sv0_graph::{NodeIx, Tri, Value, attr};

use crate::evidence::{self, Proof};
use crate::finding::{EvidenceClass, Family, RuleFinding};
use crate::rule::{Context, Meta, Scope};
use crate::severity::Exposure;
use crate::summary::{Summary, TenantDraft};
use crate::text::counted;

/// Where the policies are read.
const COLLECTION: &str = "appManagementPolicies";

/// What can be enforced and limits no credential's life: who chooses a secret, and who issues a certificate.
const NO_LIMIT: [&str; 2] = ["customPasswordAddition", "trustedCertificateAuthority"];

/// Most findings that are named as evidence.
const NAMED: usize = 100;

pub(super) const SUMMARY: Summary = Summary {
    meta: Meta {
        id: "CRED-013",
        version: "1.1.0",
        family: Family::CredentialLifecycle,
        category: "NoCredentialPolicy",
        title: "Nothing in the tenant limits credentials of applications, and ones that live too long are in use",
        narrower: None,
        why: "Without a limit, the next credential can be as weak as these.",
        remediation: &[
            "Turn on the tenant's app management policy with a longest lifetime for secrets and certificates.",
            "Let it begin with applications made from today on; exempt older ones one by one, each with an end.",
            "Replace the named credentials: the policy does not end those that exist.",
        ],
        standards: &["OWASP NHI7", "CIS M365 5.1.5.3", "CIS M365 5.1.5.4", "NIST 800-53 CM-6"],
        requires: &[COLLECTION, "servicePrincipals", "applications"],
        evidence: &[EvidenceClass::Direct],
        scope: Scope::Core,
        story: "Twelve secrets that never end, in a tenant where one setting would have refused them.",
    },
    explains: &["CRED-001", "CRED-002"],
    counts: about_lifetime,
    check,
};

fn check(context: &Context<'_>, tenant: NodeIx, told: &[&RuleFinding]) -> Option<TenantDraft> {
    let graph = context.graph;
    if graph.complete_for(tenant, COLLECTION).0 != Tri::True {
        return None;
    }
    for key in [attr::CREDENTIAL_POLICY, attr::CUSTOM_CREDENTIAL_POLICIES] {
        let Value::List(enforced) = &graph.node(tenant).fact(key)?.value else { return None };
        if enforced.iter().any(|kind| !NO_LIMIT.contains(&kind.as_str())) {
            return None;
        }
    }
    let claims = [
        (attr::CREDENTIAL_POLICY, "The tenant's policy for credentials of applications enforces no limit."),
        (attr::CUSTOM_CREDENTIAL_POLICIES, "No policy for single applications enforces a limit."),
    ];
    let policies = claims
        .into_iter()
        .filter_map(|(key, claim)| evidence::of_fact(graph, tenant, key, EvidenceClass::Direct, claim.to_owned()));
    let mut proofs: Vec<Proof> = policies.collect();
    proofs.extend(told.iter().take(NAMED).filter_map(|told| named(told)));
    let count = counted(told.len(), "finding", "findings");
    let title = format!("No policy limits credentials of applications, and {count} tell of ones that live too long");
    let why = format!("A limit on lifetime can prevent what is told by {}. {}", list(told), SUMMARY.meta.why);
    Some(TenantDraft { exposure: Exposure::X3, title, why, proofs, narrowed: Vec::new() })
}

/// Whether how long a credential lives decides the finding: its first evidence is then the credential's end.
fn about_lifetime(told: &RuleFinding) -> bool {
    told.evidence.first().is_some_and(|first| first.source.field == evidence::vendor_field(attr::VALID_TO))
}

/// What the finding itself rests on most, under its name.
fn named(told: &RuleFinding) -> Option<Proof> {
    let mut evidence = told.evidence.first()?.clone();
    evidence.claim = format!("{} of \"{}\": {}", told.rule.id, told.subject.name, evidence.claim);
    Some(Proof { evidence, dependency: None, mark: None })
}

/// `3 findings of CRED-002 and one finding of CRED-003`.
fn list(told: &[&RuleFinding]) -> String {
    let of = |rule: &&str| {
        let count = told.iter().filter(|told| told.rule.id == **rule).count();
        (count > 0).then(|| format!("{} of {rule}", counted(count, "finding", "findings")))
    };
    let parts: Vec<String> = SUMMARY.explains.iter().filter_map(of).collect();
    match parts.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}
