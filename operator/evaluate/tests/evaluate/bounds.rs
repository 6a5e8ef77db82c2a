//! What is stored can be read again, whatever a tenant holds: evidence, pack and ledger keep to bounds that are small here.

use rstest::rstest;
use serde_json::{Map, Value};
use sv0_api::FindingState;
use sv0_engine::bounds::{Bounds, PackBounds, TooLarge};
use sv0_engine::evaluate::{Config, EngineError, Evaluation, evaluate, evaluate_within};
use sv0_engine::ledger::{Ledger, LedgerError};
use sv0_engine::load::Input;
use sv0_engine::merge::{Held, Merged, Removal, let_go};
use sv0_engine::pack_reader::Pack;
use sv0_evaluate::report::RunError;
use sv0_graph::testing::{SnapshotBuilder, text};
use sv0_graph::{EdgeKind, NodeKind, attr};
use sv0_protocol::Reason;
use sv0_rules::MAX_EVIDENCE;

use crate::common::{day, remembered};
use crate::estate::{SCAN_1, SCAN_2, builder, identity, scan};
use crate::memory;
use crate::pack::lines;
use crate::whole::{config, first, input, json, next};

const GRAPH: &str = "00000003-0000-0000-c000-000000000000";

/// An application that runs by itself, and to which so many people gave a consent that lasts.
fn consents(scan: &str, people: usize) -> SnapshotBuilder {
    let mut scan = builder("u", scan);
    identity(&mut scan, "sync", Some(("2025-12-20T00:00:00Z", "2026-03-01T00:00:00Z")));
    let graph = scan.node("servicePrincipals", NodeKind::ServicePrincipal, "graph", &[(attr::APP_ID, text(GRAPH))]);
    let principal = scan.id(NodeKind::ServicePrincipal, "sp-sync");
    for person in 0..people {
        let grant = scan.edge("delegatedGrants", &principal, EdgeKind::DelegatedGrant, &graph);
        grant.role = Some("Mail.ReadWrite offline_access".to_owned());
        grant.scope = Some(format!("/users/person-{person:05}"));
        grant.object = Some(format!("grant-{person:05}"));
    }
    scan
}

/// The line of the finding about the consents.
fn line(evaluation: &Evaluation) -> Map<String, Value> {
    let found = lines(&evaluation.pack.bytes)
        .into_iter()
        .find(|line| line.get("spec").is_some_and(|spec| spec["rule"]["id"] == "XSYS-008"));
    found.unwrap_or_else(|| panic!("not found: {:?} {:?}", evaluation.tally.by_rule, evaluation.tally.outside_lane))
}

fn pieces(line: &Map<String, Value>) -> &Vec<Value> {
    line["full"]["evidence"].as_array().unwrap()
}

fn number(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

/// Whatever is left out: each hop names a piece that is there, and that it runs by itself is shown.
fn proves(line: &Map<String, Value>) {
    let pieces = pieces(line);
    // That a service principal is an instance of its application is in no piece.
    let told = line["full"]["path"].as_array().unwrap().iter().filter(|hop| hop["edge"] != "INSTANTIATES");
    for hop in told {
        let piece = &pieces[number(&hop["evidence"]) - 1];
        let (edge, claim) = (hop["edge"].as_str().unwrap(), piece["claim"].as_str().unwrap());
        match edge {
            "AUTHENTICATES_AS" => assert!(claim.starts_with("It can sign in with"), "{claim}"),
            "DELEGATED_GRANT" => assert!(claim.starts_with("Consent is recorded"), "{claim}"),
            other => panic!("{other}"),
        }
    }
    for field in ["roleDefinitionId", "endDateTime", "accountEnabled"] {
        assert!(pieces.iter().any(|piece| piece["source"]["field"] == field), "{field}");
    }
}

#[test]
fn as_many_consents_as_there_are_people_make_a_pack_that_is_read() {
    const PEOPLE: usize = 3_000;
    let evaluation = first(&consents(SCAN_1, PEOPLE));
    assert_eq!(Pack::read(&evaluation.pack.bytes).unwrap().findings.len(), evaluation.findings.len());
    let line = line(&evaluation);
    assert_eq!(pieces(&line).len(), MAX_EVIDENCE);
    proves(&line);
    // Nothing is lost count of: in the pack, and in the Finding.
    let in_pack = MAX_EVIDENCE + number(&line["full"]["evidenceOmitted"]);
    assert!(in_pack > PEOPLE && in_pack < PEOPLE + 10, "{in_pack}");
    let shown = line["spec"]["evidence"].as_array().unwrap().len();
    assert_eq!(number(&line["spec"]["evidenceOmitted"]), in_pack - shown);
    assert!(line["spec"]["title"].as_str().unwrap().contains("3000 people"), "{}", line["spec"]["title"]);
    // In whatever order they come.
    let mut backwards = consents(SCAN_1, PEOPLE).build();
    backwards.edges.reverse();
    let again = evaluate(vec![input(backwards)], Ledger::default(), &config(day(10))).unwrap();
    assert_eq!(again.pack.digest, evaluation.pack.digest);
}

#[test]
fn one_consent_fewer_than_is_kept_leaves_nothing_out() {
    let line = line(&first(&consents(SCAN_1, MAX_EVIDENCE - 20)));
    assert!(line["full"].get("evidenceOmitted").is_none());
    proves(&line);
}

fn within(inputs: Vec<Input>, before: Ledger, bounds: &Bounds) -> Result<Evaluation, EngineError> {
    evaluate_within(inputs, before, &config(day(10)), bounds, &mut |_| {})
}

fn text_of(pack: &[u8]) -> String {
    String::from_utf8(zstd::decode_all(pack).unwrap()).unwrap()
}

/// A bound that the whole pack passes: the same pack with less evidence of each finding, which it says.
#[test]
fn a_pack_that_is_too_large_is_written_with_less_evidence() {
    let inputs = || vec![input(consents(SCAN_1, 500).build())];
    let whole = within(inputs(), Ledger::default(), &Bounds::default()).unwrap();
    assert_eq!(whole.most_evidence, None);
    let size = |evaluation: &Evaluation| text_of(&evaluation.pack.bytes).len() as u64;
    let mut before = size(&whole);
    for most in [100, 10] {
        let pack = PackBounds { bytes: before - 1, ..PackBounds::default() };
        let bounds = Bounds { pack, ..Bounds::default() };
        let less = within(inputs(), Ledger::default(), &bounds).unwrap();
        assert_eq!(less.most_evidence, Some(most));
        assert_eq!(Pack::read(&less.pack.bytes).unwrap().header.most_evidence, Some(most as u64));
        let line = line(&less);
        assert_eq!(pieces(&line).len(), most);
        assert!(number(&line["full"]["evidenceOmitted"]) + most > 500);
        proves(&line);
        assert_eq!(json(&less.findings), json(&whole.findings), "what stands in the cluster is the same");
        assert_eq!(less.ledger, whole.ledger);
        before = size(&less);
    }
    // Still too large: what does not stand as a resource is named, and its evidence left out.
    let cut = |limit| {
        let pack = PackBounds { bytes: limit, ..PackBounds::default() };
        let bounds = Bounds { pack, ..Bounds::default() };
        let one = Config { max_findings: 1, ..config(day(10)) };
        evaluate_within(inputs(), Ledger::default(), &one, &bounds, &mut |_| {})
    };
    let ten = cut(before + 1_000).unwrap();
    let least = cut(size(&ten) - 1).unwrap();
    assert_eq!((ten.most_evidence, least.most_evidence), (Some(10), Some(0)));
    assert_eq!(least.ledger, whole.ledger);
    let pack = Pack::read(&least.pack.bytes).unwrap();
    assert_eq!(pack.header.most_evidence, Some(0));
    assert!(pack.findings.len() > 1);
    assert!(pack.findings.values().all(|finding| finding.kept == finding.line.contains_key("full")));
}

/// As the reader counts them: what begins a list or an object, or parts two entries.
fn values(line: &str) -> u64 {
    entries(&serde_json::from_str(line).unwrap()) + 1
}

fn entries(value: &Value) -> u64 {
    match value {
        Value::Array(all) => all.iter().map(entries).sum::<u64>() + all.len().max(1) as u64,
        Value::Object(all) => all.values().map(entries).sum::<u64>() + all.len().max(1) as u64,
        _ => 0,
    }
}

/// Each bound of the reader, passed by one: nothing is written, and the sentence says what to change.
#[test]
fn what_could_not_be_read_is_not_written() {
    let inputs = || vec![input(scan(SCAN_1).build())];
    let whole = within(inputs(), Ledger::default(), &Bounds::default()).unwrap();
    let text = text_of(&whole.pack.bytes);
    let exact = PackBounds {
        bytes: text.len() as u64,
        line_bytes: text.lines().map(|line| line.len() as u64 + 1).max().unwrap(),
        lines: text.lines().count() as u64,
        values: text.lines().map(values).sum(),
    };
    let stored_bytes = whole.pack.bytes.len() as u64;
    let fits = Bounds { pack: exact, stored_bytes, ..Bounds::default() };
    assert_eq!(within(inputs(), Ledger::default(), &fits).unwrap().pack, whole.pack);
    let tight = [
        ("bytes", Bounds { pack: PackBounds { bytes: exact.bytes - 1, ..exact }, ..fits }),
        ("bytes in one line", Bounds { pack: PackBounds { line_bytes: exact.line_bytes - 1, ..exact }, ..fits }),
        ("lines", Bounds { pack: PackBounds { lines: exact.lines - 1, ..exact }, ..fits }),
        ("values", Bounds { pack: PackBounds { values: exact.values - 1, ..exact }, ..fits }),
        ("compressed bytes", Bounds { stored_bytes: stored_bytes - 1, ..fits }),
    ];
    for (passed, bounds) in tight {
        let error = within(inputs(), Ledger::default(), &bounds).unwrap_err();
        let EngineError::TooLarge { kind: "evidence pack", bound: TooLarge { what, .. }, findings, instance, most } =
            &error
        else {
            panic!("{passed}: {error}");
        };
        let all = whole.findings.len() + whole.folded.len();
        assert_eq!((*what, *findings, instance.as_str(), *most), (passed, all, "entra-u", all));
        let sentence = error.to_string();
        assert!(sentence.contains("make that instance in an estate of its own"), "{sentence}");
        let (reason, code) = RunError::from(error).verdict();
        assert_eq!((reason, code), (Reason::EstateTooLarge, sv0_protocol::names::exit::REFUSED));
    }
}

/// Two tenants, of which the second uses more identities: its memory goes first, and visibly.
fn two(day: u32) -> Vec<Input> {
    let mut other = SnapshotBuilder::entra("v", "22222222-2222-2222-2222-222222222222");
    let taken = memory::scan(day).header().observed_at;
    other.header().scan_id = format!("{day:014}-aaaaaaaa");
    other.header().observed_at = taken;
    other.header().finished_at = taken;
    other.node("organization", NodeKind::System, "22222222-2222-2222-2222-222222222222", &[]);
    for n in 0..20 {
        let used = [(attr::LAST_USED_AT, text(&taken.to_string()))];
        identity(&mut other, &format!("bot-{n}"), Some(("2020-01-01T00:00:00Z", "2099-12-31T00:00:00Z")));
        other.node("servicePrincipalActivity", NodeKind::ServicePrincipal, &format!("sp-bot-{n}"), &used);
    }
    vec![input(memory::scan(day).build()), input(other.build())]
}

#[test]
fn a_ledger_that_is_too_large_forgets_use_of_the_largest_tenant_first() {
    let before = within(two(3), Ledger::default(), &Bounds::default()).unwrap();
    let ledger = |evaluation: &Evaluation| Ledger::read(&evaluation.ledger.bytes).unwrap();
    let watched = |evaluation: &Evaluation, uid: &str| ledger(evaluation).instances[uid].activity.is_some();
    let size = |evaluation: &Evaluation| zstd::decode_all(evaluation.ledger.bytes.as_slice()).unwrap().len() as u64;
    let bounds = |bytes| Bounds { ledger_bytes: bytes, ..Bounds::default() };
    let whole = within(two(4), ledger(&before), &Bounds::default()).unwrap();
    assert!(watched(&whole, "u") && watched(&whole, "v") && whole.forgotten.is_empty());

    let same = within(two(4), ledger(&before), &bounds(size(&whole))).unwrap();
    assert_eq!(same.ledger, whole.ledger);
    let one = within(two(4), ledger(&before), &bounds(size(&whole) - 1)).unwrap();
    assert_eq!(one.forgotten, ["entra-v"]);
    assert!(watched(&one, "u") && !watched(&one, "v"));
    assert_eq!(json(&one.findings), json(&whole.findings), "what was known is told once more");
    assert_eq!(Pack::read(&one.pack.bytes).unwrap().header.forgotten, ["entra-v"]);
    let both = within(two(4), ledger(&before), &bounds(size(&one) - 1)).unwrap();
    assert_eq!(both.forgotten, ["entra-u", "entra-v"]);
    // Findings are never forgotten for room.
    let error = within(two(4), ledger(&before), &bounds(size(&both) - 1)).unwrap_err();
    assert!(matches!(error, EngineError::TooLarge { kind: "ledger", .. }), "{error}");
    assert!(error.to_string().contains("are of entra-v"), "{error}");
}

#[test]
fn the_reader_of_a_ledger_takes_what_its_writer_gives() {
    let ledger = Ledger::read(&first(&scan(SCAN_1)).ledger.bytes).unwrap();
    let view = |bounds: &Bounds| {
        let findings = ledger.findings.iter().map(|(name, remembered)| (name.as_str(), remembered)).collect();
        sv0_engine::ledger::LedgerView { format: &ledger.format, instances: &ledger.instances, findings }.write(bounds)
    };
    let (bytes, _) = view(&Bounds::default()).unwrap();
    let stored = bytes.len() as u64;
    assert!(view(&Bounds { stored_bytes: stored, ..Bounds::default() }).is_ok());
    let refused = view(&Bounds { stored_bytes: stored - 1, ..Bounds::default() });
    assert_eq!(refused, Err(LedgerError::TooLarge(TooLarge { what: "compressed bytes", limit: stored - 1 })));
}

#[rstest]
#[case::all(4, &[])]
#[case::of_a_day_by_name(3, &["a"])]
#[case::the_oldest(1, &["a", "b", "c"])]
fn what_has_been_gone_the_longest_leaves_first(#[case] most: usize, #[case] expected: &[&str]) {
    let resolved = [("c", Some(day(3))), ("a", Some(day(2))), ("b", Some(day(2))), ("d", Some(day(4))), ("e", None)];
    let held = |at| {
        let remembered = remembered("u", at);
        Held { remembered, basis: sv0_engine::merge::Basis::Gone, full: None }
    };
    let held = resolved.into_iter().map(|(name, at)| (name.to_owned(), held(at))).collect();
    let mut merged = Merged { held, ..Merged::default() };
    let_go(&mut merged, most);
    let gone: Vec<(&str, Removal)> = merged.removed.iter().map(|(name, why)| (name.as_str(), *why)).collect();
    assert_eq!(gone, expected.iter().map(|name| (*name, Removal::TooManyResolved)).collect::<Vec<_>>());
    assert!(merged.held.contains_key("e"), "what holds stays, whatever the limit");
}

/// Findings that are made and taken back again fill nothing.
#[test]
fn a_limit_on_resolved_findings_is_kept_from_evaluation_to_evaluation() {
    let before = first(&scan(SCAN_1));
    let bounds = Bounds { resolved: 1, ..Bounds::default() };
    let gone = vec![input(builder("u", SCAN_2).build())];
    let after = within(gone, Ledger::read(&before.ledger.bytes).unwrap(), &bounds).unwrap();
    assert_eq!(after.tally.resolved, 1);
    assert_eq!(after.tally.removed["TooManyResolved"], before.findings.len() + before.folded.len() - 1);
    assert!(after.findings.values().all(|spec| spec.state == FindingState::Resolved));
    let later = next(&after, vec![input(builder("u", SCAN_2).build())], day(11));
    assert_eq!(later.tally.resolved, 1);
}
