//! What is planted in the estates that ship with the simulated tenant comes out of a real scan and a real evaluation:
//! every expected finding with rule, subject, severity and claim, no other one, and no look-alike. And what a scanner
//! without one of its permissions still says: less, never more, with the name of what is missing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "shared with the other tests")]
mod support;
#[allow(dead_code, reason = "shared with the other tests")]
mod tenant;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rstest::rstest;
use support::Kept;
use sv0_api::{Claim, EstateSpec, FindingSpec, Severity};
use sv0_engine::evaluate::{Config, Evaluation, evaluate};
use sv0_engine::gaps::{Gap, GapState};
use sv0_engine::ledger::Ledger;
use sv0_engine::load::{Input, Used};
use sv0_estate::spec::Expectations;
use sv0_graph::canonical::digest;
use sv0_protocol::{EvaluateInput, Outcome, Reason, ScanReport, ScanRequest};
use sv0_scan::Surroundings;
use tenant::{DEMO, FULL, FULL_SECRET, SECRET, World};

/// The scanner's permissions in `FULL`.
const PERMISSIONS: [&str; 10] = [
    "AgentIdentity.Read.All",
    "AgentIdentityBlueprint.Read.All",
    "Application.Read.All",
    "AuditLog.Read.All",
    "Directory.Read.All",
    "GroupMember.Read.All",
    "Organization.Read.All",
    "Policy.Read.All",
    "RoleManagement.Read.Directory",
    "User.Read.All",
];

/// What a rule reads and does not require: without it the rule says the narrower claim.
const READS: [(&str, &str); 2] = [("CRED-001", "servicePrincipalActivity"), ("CRED-001", "credentialActivity")];

/// Rule and the subject's object id.
type Key = (String, String);
/// Severity, and whether it is the narrower claim.
type Weight = (Severity, bool);
type Found = BTreeMap<Key, Weight>;

/// Scans at a revision of what is collected.
async fn scan(world: &World, secret: &str, revision: u32) -> (ScanRequest, ScanReport, Kept) {
    let request = ScanRequest { accepted_collection_revision: revision, ..world.request() };
    let files = [("target", world.tenant.as_str()), ("clientSecret", secret)];
    let (report, kept) = world.scan_with(&request, &files, &Surroundings::default()).await;
    (request, report, kept)
}

/// Evaluates one snapshot as of now, with nothing remembered.
fn evaluated(request: ScanRequest, tenant: &str, kept: &Kept) -> Evaluation {
    evaluated_after(None, request, tenant, kept)
}

/// The same, remembering what an evaluation before it left.
fn evaluated_after(before: Option<&Evaluation>, request: ScanRequest, tenant: &str, kept: &Kept) -> Evaluation {
    evaluated_with(EstateSpec::default(), before, request, tenant, kept)
}

/// The same, with what the customer declares.
fn evaluated_with(
    estate: EstateSpec,
    before: Option<&Evaluation>,
    request: ScanRequest,
    tenant: &str,
    kept: &Kept,
) -> Evaluation {
    let manifest = digest(kept.manifest.lock().unwrap().as_ref().expect("a manifest"));
    let order = EvaluateInput {
        instance: request.instance,
        instance_uid: request.instance_uid,
        system: "entra".into(),
        tenant: tenant.into(),
        snapshot_id: request.scan_id,
        snapshot_digest: manifest.clone(),
    };
    let used = Some(Used { digest: manifest, snapshot: kept.snapshot() });
    let config = Config {
        as_of: Timestamp::now(),
        estate,
        waiting: Vec::new(),
        exceptions: Vec::new(),
        max_findings: 1000,
        ledger: before.map(|before| before.ledger.digest.clone()),
        max_snapshot_bytes: sv0_engine::load::MAX_SNAPSHOT_BYTES,
        history_lost: false,
        threads: 1,
    };
    let remembered = before.map_or_else(Ledger::default, |before| Ledger::read(&before.ledger.bytes).unwrap());
    evaluate(vec![Input { order, quarantined: None, used }], remembered, &config).unwrap()
}

fn key(spec: &FindingSpec) -> Key {
    (spec.rule.id.clone(), spec.subject.id.clone())
}

/// Every finding: those too that another one tells, which then must name them.
fn specs(evaluation: &Evaluation) -> impl Iterator<Item = &FindingSpec> {
    for (name, folded) in &evaluation.folded {
        let parts = &evaluation.findings[&folded.under].consists_of;
        assert!(parts.iter().any(|part| part.name == *name), "{name} is told nowhere");
    }
    evaluation.findings.values().chain(evaluation.folded.values().map(|folded| &folded.spec))
}

fn found(evaluation: &Evaluation) -> Found {
    let weight = |spec: &FindingSpec| (spec.severity, spec.rule.claim == Claim::Narrower);
    let all: Found = specs(evaluation).map(|spec| (key(spec), weight(spec))).collect();
    assert_eq!(all.len(), evaluation.findings.len() + evaluation.folded.len(), "a rule speaks once of a subject");
    all
}

/// Of each finding that another one tells, the subject of that one.
fn inside(evaluation: &Evaluation) -> BTreeMap<Key, String> {
    let lead = |under: &String| evaluation.findings[under].subject.id.clone();
    evaluation.folded.values().map(|folded| (key(&folded.spec), lead(&folded.under))).collect()
}

fn expected_inside(expected: &Expectations) -> BTreeMap<Key, String> {
    let told = expected.findings.iter().filter_map(|one| Some((one, one.inside.clone()?)));
    told.map(|(one, inside)| ((one.rule.clone(), one.subject.clone()), inside)).collect()
}

fn severity(word: &str) -> Severity {
    match word {
        "Critical" => Severity::Critical,
        "High" => Severity::High,
        "Medium" => Severity::Medium,
        "Low" => Severity::Low,
        "Info" => Severity::Info,
        other => panic!("no severity: {other}"),
    }
}

fn wanted(expected: &Expectations) -> Found {
    let one = |finding: &sv0_estate::spec::ExpectedFinding| {
        ((finding.rule.clone(), finding.subject.clone()), (severity(&finding.severity), finding.narrower))
    };
    let all: Found = expected.findings.iter().map(one).collect();
    assert_eq!(all.len(), expected.findings.len(), "nothing is expected twice");
    all
}

fn described((key, weight): (&Key, &Weight), names: &BTreeMap<String, String>) -> String {
    let narrower = if weight.1 { ", narrower" } else { "" };
    format!("{} {:?}{narrower}: {}", key.0, weight.0, names.get(&key.1).unwrap_or(&key.1))
}

/// Names of subjects by object id.
fn names(evaluation: &Evaluation) -> BTreeMap<String, String> {
    specs(evaluation).map(|spec| (spec.subject.id.clone(), spec.subject.name.clone())).collect()
}

fn differences(from: &Found, to: &Found, names: &BTreeMap<String, String>) -> Vec<String> {
    from.iter().filter(|(key, weight)| to.get(*key) != Some(*weight)).map(|one| described(one, names)).collect()
}

#[rstest]
#[case::the_demonstration(DEMO, SECRET, 1)]
#[case::every_plan(FULL, FULL_SECRET, 2)]
#[tokio::test]
async fn what_is_planted_comes_out(#[case] file: &str, #[case] secret: &str, #[case] revision: u32) {
    let world = World::start(file).await;
    let (request, report, kept) = scan(&world, secret, revision).await;
    assert_eq!(report.outcome, Outcome::Complete, "{report:?}");
    let evaluation = evaluated(request, &world.tenant, &kept);
    let expected = world.server.estate().expectations().clone();
    let (seen, wanted) = (found(&evaluation), wanted(&expected));
    let names = names(&evaluation);
    assert_eq!(inside(&evaluation), expected_inside(&expected), "what is told, and where");
    let (missing, extra) = (differences(&wanted, &seen, &names), differences(&seen, &wanted, &names));
    assert!(missing.is_empty() && extra.is_empty(), "missing: {missing:#?}\nnot expected: {extra:#?}");
    assert!(expected.near_misses.len() > 20, "only {} look-alikes", expected.near_misses.len());
    for miss in expected.near_misses {
        assert!(!seen.contains_key(&(miss.rule.clone(), miss.subject.clone())), "reported: {miss:?}");
    }
}

/// A way of several steps stands in its finding from the sign-in to the tenant, with the edge to cut, and costs no more
/// than a finding may.
#[tokio::test]
async fn a_way_to_the_tenant_is_told_whole() {
    let world = World::start(FULL).await;
    let (request, _, kept) = scan(&world, FULL_SECRET, 2).await;
    let evaluation = evaluated(request, &world.tenant, &kept);
    let about = |rule: &str, name: &str| {
        let mut all = evaluation.findings.values();
        all.find(|spec| spec.rule.id == rule && spec.subject.name == name).cloned().unwrap()
    };
    let owner = about("UNB-001", "Deployer");
    let hops: Vec<&str> = owner.path.iter().map(|hop| hop.edge.as_str()).collect();
    assert_eq!(hops, ["AUTHENTICATES_AS", "INSTANTIATES", "OWNS", "CAN_CONTROL", "GRANTED"]);
    let cut = "Take the service principal \"Deployer\" off the owners of the application \"Deployed\": that alone cuts this \
               way to the tenant.";
    assert_eq!(owner.remediation.first().map(String::as_str), Some(cut));
    let holder = about("UNB-001", "Application factory");
    let cut = "Take Application.ReadWrite.All from the service principal \"Application factory\": that alone cuts all 3 of the \
               shortest ways to the tenant by acting as others.";
    assert_eq!(holder.remediation.first().map(String::as_str), Some(cut));
    for spec in [owner, holder] {
        assert!(serde_json::to_vec(&spec).unwrap().len() <= sv0_api::FINDING_SPEC_BYTES);
        assert_eq!(spec.remediation.len(), 4, "nothing had to be cut");
    }
}

/// Environments are the customer's declaration: with one, the planted mailer of the developers changes production, and
/// nobody else is accused.
#[tokio::test]
async fn a_declared_environment_tells_what_development_reaches() {
    let world = World::start(FULL).await;
    let (request, _, kept) = scan(&world, FULL_SECRET, 2).await;
    let server = world.server.estate();
    let mailer = server.object_id("dev-mailer/sp").unwrap().to_owned();
    let environment = |name: &str, production: bool, tenants: Vec<String>, objects: Vec<String>| sv0_api::Environment {
        name: name.to_owned(),
        production,
        tenants,
        objects,
        ..sv0_api::Environment::default()
    };
    let estate = EstateSpec {
        environments: vec![
            environment("development", false, Vec::new(), vec![mailer.clone()]),
            environment("production", true, vec![world.tenant.clone()], Vec::new()),
        ],
        ..EstateSpec::default()
    };
    let with = found(&evaluated_with(estate, None, request.clone(), &world.tenant, &kept));
    let without = found(&evaluated(request, &world.tenant, &kept));
    let more: Vec<(&Key, &Weight)> = with.iter().filter(|(key, _)| !without.contains_key(*key)).collect();
    assert_eq!(more, [(&("XSYS-006".to_owned(), mailer), &(Severity::Medium, false))]);
    assert_eq!(with.len(), without.len() + 1);
}

/// The look-alike of a tenant without a policy: one limit for all, and what it would have prevented is no explanation.
#[tokio::test]
async fn a_tenant_with_a_policy_is_not_told_to_have_none() {
    let world = World::start(FULL).await;
    world.mutate(serde_json::json!({"credentialPolicy": {"enabled": true, "secrets": ["passwordLifetime"]}}));
    let (request, _, kept) = scan(&world, FULL_SECRET, 2).await;
    let found = found(&evaluated(request, &world.tenant, &kept));
    let rules: BTreeSet<&str> = found.keys().map(|(rule, _)| rule.as_str()).collect();
    assert!(rules.contains("CRED-002") && !rules.contains("CRED-013"), "{rules:?}");
}

/// Taking an acceptance back mends nothing, so it resolves nothing. Thumbprints are the known exception: they came with
/// the second revision inside collections of the first, which are complete without them.
#[tokio::test]
async fn an_acceptance_taken_back_resolves_nothing() {
    let world = World::start(FULL).await;
    let (request, _, kept) = scan(&world, FULL_SECRET, 2).await;
    let before = evaluated(request, &world.tenant, &kept);
    let later = ScanRequest {
        accepted_collection_revision: 1,
        scan_id: "00001767225700000-0a1b2c3d".into(),
        ..world.request()
    };
    let files = [("target", world.tenant.as_str()), ("clientSecret", FULL_SECRET)];
    let (report, kept) = world.scan_with(&later, &files, &Surroundings::default()).await;
    assert_eq!(report.outcome, Outcome::Complete, "{report:?}");
    let after = evaluated_after(Some(&before), later, &world.tenant, &kept);
    let resolved: std::collections::BTreeSet<&str> = specs(&after)
        .filter(|spec| spec.state == sv0_api::FindingState::Resolved)
        .map(|spec| spec.rule.id.as_str())
        .collect();
    assert!(resolved.is_empty(), "{resolved:?}");
    let open = |evaluation: &Evaluation| {
        let open = specs(evaluation).filter(|spec| spec.state == sv0_api::FindingState::Open);
        open.map(key).collect::<std::collections::BTreeSet<Key>>()
    };
    let lost: Vec<Key> = open(&before).difference(&open(&after)).cloned().collect();
    assert!(lost.is_empty(), "{lost:?}");
}

/// What a scan says, and what of it could not be relied on.
struct Said {
    report: ScanReport,
    found: Found,
    names: BTreeMap<String, String>,
    gaps: Vec<Gap>,
}

/// Scans and evaluates after these Graph permissions were taken from the scanner. None when there is no snapshot.
async fn said(file: &str, secret: &str, revision: u32, without: &[&str]) -> Result<Said, ScanReport> {
    let world = World::start(file).await;
    for permission in without {
        world.mutate(serde_json::json!({ "revokePermission": permission }));
    }
    let (request, report, kept) = scan(&world, secret, revision).await;
    if kept.manifest.lock().unwrap().is_none() {
        return Err(report);
    }
    let evaluation = evaluated(request, &world.tenant, &kept);
    let (found, names) = (found(&evaluation), names(&evaluation));
    Ok(Said { report, found, names, gaps: evaluation.gaps })
}

/// Collections that `less` could not rely on and `more` could. That it cannot stand as a baseline follows from them.
fn lost<'a>(more: &Said, less: &'a Said) -> Vec<&'a Gap> {
    let of_collections = less.gaps.iter().filter(|gap| gap.state != GapState::Baseline);
    of_collections.filter(|gap| !more.gaps.contains(gap)).collect()
}

/// What changed, one line each; a scan that sees less may only say less. Every change must rest on a collection that
/// was lost and that the rule reads; of `silent` rules what they read is part of a collection that was not lost.
fn changes(more: &Said, less: &Said, silent: &[&str]) -> Vec<String> {
    let lost = lost(more, less);
    let meta = |rule: &str| sv0_rules::catalogue().find(|meta| meta.id == rule).expect("a rule");
    let keys: BTreeSet<&Key> = more.found.keys().chain(less.found.keys()).collect();
    let mut lines = Vec::new();
    for key in keys {
        let (was, is) = (more.found.get(key), less.found.get(key));
        if was == is {
            continue;
        }
        let (rule, subject) = key;
        let name = more.names.get(subject).or_else(|| less.names.get(subject)).expect("a name");
        let reads = |collection: &str| {
            meta(rule).requires.contains(&collection) || READS.contains(&(rule.as_str(), collection))
        };
        let depends = lost.iter().any(|gap| reads(&gap.collection));
        assert!(
            depends || silent.contains(&rule.as_str()),
            "{rule} of {name} changed from {was:?} to {is:?}, and it reads none of {lost:?}"
        );
        lines.push(match (was, is) {
            (Some(_), None) => format!("  {rule} goes: {name}"),
            (Some((was, was_narrower)), Some((is, narrower))) => {
                assert!(is <= was && narrower >= was_narrower, "{rule} of {name} grew: {was:?} to {is:?}");
                format!("  {rule} narrows: {name}, {was:?} to {is:?}")
            }
            (None, Some((is, narrower))) => {
                assert!(*narrower && meta(rule).narrower.is_some(), "{rule} accuses {name} because less was seen");
                format!("  {rule} cannot be ruled out: {name}, {is:?}, narrower")
            }
            (None, None) => unreachable!("the key is of one of both"),
        });
    }
    lines
}

/// Which permission of the scanner carries which finding: the table that a change of a rule or of a collection alters.
/// Directory.Read.All opens much of what smaller permissions open too; without it each of them stands alone.
#[rstest]
#[case::with_the_directory("with_the_directory", &[])]
#[case::each_alone("each_alone", &["Directory.Read.All"])]
#[tokio::test]
async fn a_missing_permission_takes_exactly_what_rests_on_it(#[case] table: &str, #[case] before: &[&str]) {
    let whole = said(FULL, FULL_SECRET, 2, before).await.map_err(|report| format!("{report:?}")).unwrap();
    assert_eq!(whole.report.outcome, Outcome::Complete);
    let mut lines = Vec::new();
    for permission in PERMISSIONS.iter().filter(|permission| !before.contains(permission)) {
        let without: Vec<&str> = before.iter().chain([permission]).copied().collect();
        lines.push(format!("without {permission}"));
        let less = match said(FULL, FULL_SECRET, 2, &without).await {
            Ok(less) => less,
            Err(report) => {
                assert_eq!((report.outcome, report.reason), (Outcome::Failed, Some(Reason::PermissionMissing)));
                assert_eq!(report.permissions_missing, [*permission]);
                lines.push("  no snapshot: the tenant itself cannot be told".to_owned());
                continue;
            }
        };
        let lost = lost(&whole, &less);
        let denied = |gap: &&&Gap| gap.state == GapState::Denied && gap.permission.as_deref() == Some(*permission);
        let named: Vec<&str> = lost.iter().filter(denied).map(|gap| gap.collection.as_str()).collect();
        let cut: Vec<&str> = lost.iter().filter(|gap| !denied(gap)).map(|gap| gap.collection.as_str()).collect();
        assert_eq!(named.is_empty(), lost.is_empty(), "{permission} is not named by {lost:?}");
        for (says, collections) in [("denied", named), ("cut by that", cut)] {
            if !collections.is_empty() {
                lines.push(format!("  {says}: {}", collections.join(", ")));
            }
        }
        if lost.is_empty() {
            lines.push("  nothing: Directory.Read.All opens the same".to_owned());
        }
        lines.extend(changes(&whole, &less, &[]));
    }
    insta::assert_snapshot!(table, lines.join("\n"));
}

/// An accepted revision is what an administrator agreed to: the first asks for less, and less comes out.
#[tokio::test]
async fn the_first_revision_says_less_of_the_same_tenant() {
    let (second, first) = (said(FULL, FULL_SECRET, 2, &[]).await, said(FULL, FULL_SECRET, 1, &[]).await);
    let (Ok(second), Ok(first)) = (second, first) else { panic!("no snapshot") };
    assert_eq!(first.report.outcome, Outcome::Complete, "{:?}", first.report);
    let refused = |gap: &&Gap| gap.state == GapState::Skipped && gap.reason.as_deref() == Some("CollectionNotAccepted");
    assert!(first.gaps.iter().all(|gap| refused(&gap)), "{:?}", first.gaps);
    // Thumbprints come with the second revision, in collections of the first.
    insta::assert_snapshot!("first_revision", changes(&second, &first, &["CRED-010"]).join("\n"));
}

/// Asking for more with the permissions and the licence of before finds nothing new and loses nothing, and knows what the
/// missing licence rules out.
#[tokio::test]
async fn the_second_revision_without_its_permissions_says_the_same_of_the_demonstration() {
    let (first, second) = (said(DEMO, SECRET, 1, &[]).await, said(DEMO, SECRET, 2, &[]).await);
    let (Ok(first), Ok(second)) = (first, second) else { panic!("no snapshot") };
    assert_eq!((second.report.outcome, second.report.reason), (Outcome::Partial, Some(Reason::PermissionMissing)));
    // A tenant without the licence has no eligible roles, which the first revision does not know: its claim is the narrower.
    let publisher = "Release publisher";
    let narrower = format!("UNB-011 High, narrower: {publisher}");
    assert_eq!(differences(&first.found, &second.found, &first.names), [narrower]);
    assert_eq!(differences(&second.found, &first.found, &second.names), [format!("UNB-011 Critical: {publisher}")]);
}

/// Several that hold the tenant through one group are one problem, told in the finding about the group.
#[tokio::test]
async fn what_holds_through_one_group_is_told_inside_the_finding_about_it() {
    let world = World::start(FULL).await;
    let (request, _, kept) = scan(&world, FULL_SECRET, 2).await;
    let evaluation = evaluated(request, &world.tenant, &kept);
    let expected = world.server.estate().expectations().clone();
    let wanted: BTreeSet<(String, String)> = expected
        .findings
        .into_iter()
        .filter_map(|finding| Some((finding.inside?, finding.subject)))
        .filter(|(lead, subject)| lead != subject)
        .collect();
    assert!(wanted.len() >= sv0_rules::GATHERED_FROM, "too few are planted");
    let elsewhere = |(_, folded): (&String, &sv0_engine::evaluate::Folded)| {
        let lead = &evaluation.findings[&folded.under].subject.id;
        (*lead != folded.spec.subject.id).then(|| (lead.clone(), folded.spec.subject.id.clone()))
    };
    let seen: BTreeSet<(String, String)> = evaluation.folded.iter().filter_map(elsewhere).collect();
    assert_eq!(seen, wanted);
}
