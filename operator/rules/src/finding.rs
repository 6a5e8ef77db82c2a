//! What a rule gives: plain values with the fields of a Finding's spec. State, first observation and digest of the
//! content are not a rule's to know: the evaluation adds them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sv0_graph::canonical;

use crate::severity::{Exposure, Tier};

/// Most pieces of evidence of one finding. What somebody else can make as many of as they like, such as consents to one
/// application, must not make a finding that nobody can read.
pub const MAX_EVIDENCE: usize = 1_000;

/// One finding of one rule about one subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleFinding {
    /// Deterministic name: `<rule id in lower case>-<16 hex digits>` over rule, its major version, subject and
    /// discriminator. Never over evidence or time: it is the same finding from scan to scan.
    pub name: String,
    /// The rule that fired.
    pub rule: RuleRef,
    /// Top-level category.
    pub family: Family,
    /// Finer category.
    pub category: String,
    /// How severe.
    pub severity: Severity,
    /// 5 is `Critical`, 1 is `Info`.
    pub severity_rank: i32,
    /// What the severity was looked up from.
    pub weighed: Weighed,
    /// The claim in one line.
    pub title: String,
    /// Why it matters.
    pub why: String,
    /// What it is about.
    pub subject: Subject,
    /// Who answers for it.
    pub accountable: Accountable,
    /// From the anchor to what it reaches.
    pub path: Vec<Hop>,
    /// What proves the claim, most important first; at most [`MAX_EVIDENCE`] pieces, beside those that hops name. The pack has
    /// a digest of it.
    #[serde(serialize_with = "canonical::marked")]
    pub evidence: Vec<Evidence>,
    /// Pieces that are left out ([`Self::keep_evidence`]): of each kind of them some are there.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub evidence_omitted: u32,
    /// What is not proven, and why.
    pub narrowed: Vec<Narrowed>,
    /// What to do, in order.
    pub remediation: Vec<String>,
    /// Controls of published standards.
    pub standards: Vec<String>,
    /// Collections that must be complete before the absence of this finding may mean that it is resolved.
    pub depends_on: BTreeSet<Dependency>,
    /// Name of the finding about the one thing through which this one holds, whether or not that finding is there: it
    /// tells this one as soon as it tells enough of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<String>,
    /// Of a composite, the names of the findings about the same subject that have nothing more to say than this one does.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tells: BTreeSet<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl RuleFinding {
    /// Leaves out evidence until at most `most` pieces are there, counts what goes, and numbers the hops' pieces anew.
    ///
    /// Each piece that a hop names stays, whatever `most` is: the way in, by which it runs, and each step to what it
    /// reaches. Then the first piece of each kind, which is a field of what a call of the source system gives: nothing that
    /// the claim rests on goes for many pieces of one other thing. Then the others in their order.
    pub fn keep_evidence(&mut self, most: usize) {
        let all = self.evidence.len();
        if all <= most {
            return;
        }
        let number = |hop: &Hop| usize::try_from(hop.evidence?).ok()?.checked_sub(1);
        let mut kept: BTreeSet<usize> = self.path.iter().filter_map(number).filter(|at| *at < all).collect();
        let mut kinds: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for (at, one) in self.evidence.iter().enumerate() {
            kinds.entry((&one.source.api, &one.source.field)).or_insert(at);
        }
        let mut firsts: Vec<usize> = kinds.into_values().collect();
        firsts.sort_unstable();
        for at in firsts.into_iter().chain(0..all) {
            if kept.len() >= most {
                break;
            }
            kept.insert(at);
        }
        let anew: BTreeMap<usize, u32> = kept.iter().copied().zip(1..).collect();
        for hop in &mut self.path {
            hop.evidence = number(hop).and_then(|at| anew.get(&at).copied());
        }
        let gone = u32::try_from(all - kept.len()).unwrap_or(u32::MAX);
        self.evidence_omitted = self.evidence_omitted.saturating_add(gone);
        let mut at = 0..all;
        self.evidence.retain(|_| at.next().is_some_and(|at| kept.contains(&at)));
    }
}

/// One collection of one instance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dependency {
    /// The instance's UID.
    pub instance_uid: String,
    /// Collection name from the connector's manifest.
    pub collection: String,
}

/// The rule that fired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleRef {
    /// Its id, such as `CRED-002`.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Whether the full claim is proven.
    pub claim: Claim,
}

/// How much of a rule's claim is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Claim {
    /// All of it.
    Full,
    /// The part that the title states; `narrowed` says what is missing.
    Narrower,
}

/// Top-level categories. The list is stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Family {
    /// Runs under an identity that nobody answers for.
    OrphanedAutomation,
    /// One identity or path holds authority over several systems.
    CrossSystemAuthorityChain,
    /// Authority grew since an accepted snapshot.
    ScopeDrift,
    /// Reaches sensitive systems or egress without a boundary.
    UnboundedExecutionScope,
    /// Standing permission without use.
    DormantAuthority,
    /// A powerful credential with weak hygiene.
    CredentialLifecycle,
    /// Moves sensitive data into a distribution surface.
    ExposureRedistribution,
    /// Outbound path to a weakly authenticated destination.
    ExposureEgress,
    /// Authority to a sensitive system that no definition refers to.
    ExposureNarrowSensitiveReach,
}

/// How severe. Ordered: `Critical` is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Severity {
    /// For completeness.
    Info,
    /// Some day.
    Low,
    /// Plan it.
    Medium,
    /// This week.
    High,
    /// Now.
    Critical,
}

impl Severity {
    /// 5 is `Critical`, 1 is `Info`.
    pub const fn rank(self) -> i32 {
        match self {
            Self::Info => 1,
            Self::Low => 2,
            Self::Medium => 3,
            Self::High => 4,
            Self::Critical => 5,
        }
    }
}

/// What a severity was looked up from, beside the claim: see [`crate::severity()`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Weighed {
    /// What the best proven authority amounts to.
    pub tier: Tier,
    /// How exposed it is, by the rule.
    pub exposure: Exposure,
    /// Whether it is proven to reach sensitive data.
    pub sensitive: bool,
}

/// What a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// Node identity.
    pub id: String,
    /// Kind of node.
    pub kind: String,
    /// Its name in the source system, made harmless.
    pub name: String,
    /// `entra`, ...
    pub system: String,
    /// Its tenant.
    pub tenant: String,
    /// The instance that saw it.
    pub instance: String,
    /// That instance's UID.
    pub instance_uid: String,
}

/// Who answers for the subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Accountable {
    /// In one word.
    pub state: AccountableState,
    /// The first parties, at most five: active ones first, then by identity.
    pub parties: Vec<Party>,
    /// How many there are.
    pub total: i32,
    /// Why the state is not known.
    pub reason: Option<String>,
}

/// Whether somebody answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AccountableState {
    /// At least one party is proven to be active.
    Active,
    /// Every recorded party is disabled or deleted.
    Gone,
    /// Completely read, and none is recorded.
    NotRecorded,
    /// Not all of it could be read.
    Unknown,
}

/// A party that answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Party {
    /// Node identity.
    pub id: String,
    /// Address, or else name, when it may be read.
    pub name: Option<String>,
    /// `active`, `guest`, `disabled`, `deleted`, `unresolved`.
    pub state: String,
}

/// One hop of the path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hop {
    /// Where it starts, for people.
    pub from: String,
    /// What the edge says.
    pub edge: String,
    /// Where it leads, for people.
    pub to: String,
    /// The role or permission on the edge.
    pub via: Option<String>,
    /// How it is known.
    pub class: EvidenceClass,
    /// Which piece of the finding's evidence says so, from 1 on; of a derived hop, the one that names the derivation. None
    /// when no piece is about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<u32>,
}

/// How something is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EvidenceClass {
    /// One fact of the source system's API says it.
    Direct,
    /// Derived from several facts by a named derivation.
    Structural,
    /// From time, logs or the difference of two snapshots.
    Temporal,
}

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// How it is known.
    pub class: EvidenceClass,
    /// What it proves, in our words.
    pub claim: String,
    /// Where it was read.
    pub source: EvidenceSource,
    /// What was read there.
    pub value: Option<String>,
    /// When, by the source system's snapshot. None of what the customer declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Timestamp>,
}

/// Where a fact was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceSource {
    /// Our connector.
    pub connector: String,
    /// The vendor's API and operation.
    pub api: String,
    /// Its version.
    pub version: String,
    /// The vendor's id of the object.
    pub object: String,
    /// The field.
    pub field: String,
}

/// A claim that is not proven.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Narrowed {
    /// What is not proven.
    pub claim: String,
    /// Why not.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(api: &str, object: usize) -> Evidence {
        let source = EvidenceSource {
            connector: "entra".to_owned(),
            api: api.to_owned(),
            version: "v1.0".to_owned(),
            object: object.to_string(),
            field: "id".to_owned(),
        };
        let claim = format!("{api} {object}");
        Evidence { class: EvidenceClass::Direct, claim, source, value: None, observed_at: None }
    }

    fn hop(evidence: Option<u32>) -> Hop {
        let text = || "x".to_owned();
        Hop { from: text(), edge: text(), to: text(), via: None, class: EvidenceClass::Direct, evidence }
    }

    /// Twenty consents, of which the 15th is a step of the path, then what shows that it runs, twice.
    fn finding() -> RuleFinding {
        let json = serde_json::json!({
            "name": "n", "rule": {"id": "R-1", "version": "1.0.0", "claim": "Full"}, "family": "ScopeDrift",
            "category": "c", "severity": "Low", "severityRank": 2, "title": "t", "why": "w",
            "weighed": {"tier": "P2", "exposure": "X2", "sensitive": false},
            "subject": {"id": "i", "kind": "k", "name": "n", "system": "s", "tenant": "t", "instance": "e", "instanceUid": "u"},
            "accountable": {"state": "Unknown", "parties": [], "total": 0, "reason": null}, "path": [], "evidence": [],
            "narrowed": [], "remediation": [], "standards": [], "dependsOn": []
        });
        let mut finding: RuleFinding = serde_json::from_value(json).unwrap();
        finding.path = vec![hop(Some(15)), hop(None), hop(Some(21))];
        finding.evidence =
            (1..=20).map(|n| piece("consents", n)).chain([piece("runs", 21), piece("runs", 22)]).collect();
        finding
    }

    fn kept(finding: &RuleFinding) -> Vec<usize> {
        finding.evidence.iter().map(|one| one.source.object.parse().unwrap()).collect()
    }

    #[test]
    fn what_hops_name_and_one_of_each_kind_stay() {
        let mut finding = finding();
        finding.keep_evidence(5);
        assert_eq!(kept(&finding), [1, 2, 3, 15, 21]);
        assert_eq!(finding.evidence_omitted, 17);
        let numbers: Vec<_> = finding.path.iter().map(|hop| hop.evidence).collect();
        assert_eq!(numbers, [Some(4), None, Some(5)], "each hop names the same piece as before");
        finding.keep_evidence(1);
        assert_eq!(
            (kept(&finding), finding.evidence_omitted),
            (vec![15, 21], 20),
            "the path is proven, whatever the limit"
        );
        let numbers: Vec<_> = finding.path.iter().map(|hop| hop.evidence).collect();
        assert_eq!(numbers, [Some(1), None, Some(2)]);
    }

    #[test]
    fn a_kind_that_comes_late_goes_before_more_of_an_early_one() {
        let mut finding = finding();
        finding.path.clear();
        finding.keep_evidence(3);
        assert_eq!(kept(&finding), [1, 2, 21]);
    }

    #[test]
    fn what_fits_is_as_it_was() {
        let mut short = finding();
        short.keep_evidence(22);
        assert_eq!(short, finding());
        assert!(!serde_json::to_string(&short).unwrap().contains("evidenceOmitted"));
    }
}
