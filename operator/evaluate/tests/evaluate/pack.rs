//! The evidence pack: what is written is read back, and whatever is done to a line is found and named.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Map, Value, json};
use sv0_engine::evaluate::{Config, Evaluation, evaluate};
use sv0_engine::ledger::Ledger;
use sv0_engine::pack::PackRules;
use sv0_engine::pack_reader::{MAX_PACK_LINE_BYTES, Pack, PackReadError};
use sv0_graph::canonical::{digest, to_canonical_json};

use crate::common::day;
use crate::estate::{SCAN_1, scan};
use crate::whole::{config, input};

type Lines = Vec<Map<String, Value>>;

fn evaluation() -> Evaluation {
    let cut = Config { max_findings: 2, waiting: vec!["w".into(), "v".into(), "w".into()], ..config(day(10)) };
    evaluate(vec![input(scan(SCAN_1).build())], Ledger::default(), &cut).unwrap()
}

pub(crate) fn lines(pack: &[u8]) -> Vec<Map<String, Value>> {
    let text = String::from_utf8(zstd::decode_all(pack).unwrap()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn packed(lines: &[Map<String, Value>]) -> Vec<u8> {
    let mut text = Vec::new();
    for line in lines {
        text.extend(to_canonical_json(line).unwrap());
        text.push(b'\n');
    }
    zstd::encode_all(text.as_slice(), 3).unwrap()
}

/// Gives each line the number, the link and the digest that its content and place ask for: a forger's whole work.
pub(crate) fn sealed(mut lines: Vec<Map<String, Value>>) -> Vec<u8> {
    let mut head: Option<String> = None;
    for (number, line) in lines.iter_mut().enumerate() {
        line.insert("line".into(), number.into());
        line.remove("digest");
        line.remove("before");
        if let Some(head) = head {
            line.insert("before".into(), head.into());
        }
        let own = digest(&to_canonical_json(line).unwrap());
        line.insert("digest".into(), own.clone().into());
        head = Some(own);
    }
    packed(&lines)
}

fn refusal(lines: &[Map<String, Value>]) -> PackReadError {
    Pack::read(&packed(lines)).unwrap_err()
}

#[test]
fn what_is_written_is_read_back() {
    let evaluation = evaluation();
    let pack = Pack::read(&evaluation.pack.bytes).unwrap();
    let told = &pack.header.config;
    assert_eq!((told.as_of, told.max_findings, told.history_lost), (day(10), 2, false));
    assert_eq!(told.waiting, ["v", "w"], "a set, in one order");
    assert_eq!(pack.header.rule_pack, PackRules::current().unwrap());
    assert_eq!(pack.header.next_ledger, evaluation.ledger.digest);
    assert_eq!(pack.header.next_transition, evaluation.next_transition);
    assert_eq!((pack.header.snapshots[0].system.as_str(), pack.header.gaps.len()), ("entra", 2));
    let kept: Vec<_> = pack.kept().map(|(name, finding)| (name.clone(), finding.spec.clone())).collect();
    assert_eq!(kept, evaluation.findings.clone().into_iter().collect::<Vec<_>>());
    assert_eq!(pack.findings.len(), evaluation.tally.open);
    assert_eq!(sealed(lines(&evaluation.pack.bytes)), evaluation.pack.bytes, "the forger of these tests is a good one");
}

#[test]
fn an_estate_without_findings_has_a_pack_of_two_lines() {
    let nothing = evaluate(Vec::<sv0_engine::load::Input>::new(), Ledger::default(), &config(day(10))).unwrap();
    assert_eq!(lines(&nothing.pack.bytes).len(), 2);
    assert!(Pack::read(&nothing.pack.bytes).unwrap().findings.is_empty());
}

#[test]
fn what_happens_to_a_line_is_named() {
    let good = lines(&evaluation().pack.bytes);
    assert!(good.len() >= 6);
    let name = |line: usize| good[line]["name"].as_str().unwrap();

    for (number, line) in good.iter().enumerate() {
        let mut changed = good.clone();
        changed[number].insert("more".into(), 1.into());
        let sentence = refusal(&changed).to_string();
        let named = line.get("name").and_then(Value::as_str);
        assert!(sentence.contains("was changed"), "{sentence}");
        assert!(sentence.contains(&format!("line {number}")), "{sentence}");
        assert!(named.is_none_or(|name| sentence.contains(name)), "{sentence}");
    }

    let mut lost = good.clone();
    lost.remove(2);
    let sentence = refusal(&lost).to_string();
    assert_eq!(
        sentence,
        format!("1 line is missing before the finding {} (line 3): line 2 and what follows it was taken out", name(3))
    );

    let mut doubled = good.clone();
    doubled.insert(3, good[2].clone());
    let sentence = refusal(&doubled).to_string();
    assert_eq!(sentence, format!("the finding {} (line 2) stands in the pack twice", name(2)));

    let mut swapped = good.clone();
    swapped.swap(2, 3);
    let sentence = refusal(&swapped).to_string();
    assert_eq!(sentence, format!("the finding {} (line 3) was moved: it stands where line 2 belongs", name(3)));

    let mut cut = good.clone();
    cut.pop();
    assert!(matches!(refusal(&cut), PackReadError::Unclosed(_)), "{}", refusal(&cut));
    assert!(matches!(Pack::read(&packed(&good[..1])), Err(PackReadError::Unclosed(_))));
    assert!(matches!(Pack::read(&packed(&[])), Err(PackReadError::Unclosed(_))));

    let mut more = good.clone();
    more.push(good[good.len() - 1].clone());
    assert!(matches!(refusal(&more), PackReadError::Doubled(_)), "{}", refusal(&more));
}

/// A line that was changed together with its own digest.
#[test]
fn a_replaced_line_is_named_by_the_one_behind_it() {
    let good = lines(&evaluation().pack.bytes);
    for number in 0..good.len() - 1 {
        let mut lines = good.clone();
        let line = &mut lines[number];
        line.insert("more".into(), 1.into());
        line.remove("digest");
        let own = digest(&to_canonical_json(line).unwrap());
        line.insert("digest".into(), own.into());
        let sentence = refusal(&lines).to_string();
        assert!(sentence.contains("was replaced") && sentence.contains(&format!("line {number}")), "{sentence}");
    }
}

/// Even a chain that was made anew as a whole has to agree with itself.
#[test]
fn a_chain_made_anew_still_has_to_agree_with_its_content() {
    let good = lines(&evaluation().pack.bytes);
    let read = |lines: Vec<Map<String, Value>>| Pack::read(&sealed(lines));

    let mut evidence = good.clone();
    let list = evidence[1]["full"]["evidence"].as_array_mut().unwrap();
    assert!(list.len() > 1);
    list.reverse();
    assert!(matches!(read(evidence), Err(PackReadError::Evidence(_))));

    let mut fewer = good.clone();
    fewer.remove(2);
    assert!(matches!(read(fewer), Err(PackReadError::Contradiction(_))));

    let mut order = good.clone();
    order.swap(1, 2);
    assert!(matches!(read(order), Err(PackReadError::Order(_))));

    let mut kept = good.clone();
    let stood = kept[1]["kept"].as_bool().unwrap();
    kept[1].insert("kept".into(), (!stood).into());
    assert!(matches!(read(kept), Err(PackReadError::Contradiction(_))));

    let mut again = good.clone();
    let twice = again[0]["snapshots"][0].clone();
    again[0]["snapshots"].as_array_mut().unwrap().push(twice);
    assert!(matches!(read(again), Err(PackReadError::Contradiction(_))), "a snapshot is read once");

    let mut strange = good;
    strange[1]["spec"]["severity"] = json!("Enormous");
    assert!(matches!(read(strange), Err(PackReadError::Unreadable(_))));
}

#[rstest]
#[case("securityv0.pack/1")]
#[case("securityv0.pack/3")]
fn other_formats_are_refused_by_name(#[case] format: &str) {
    let header = json!({"format": format, "whatever": true});
    let error = Pack::read(&packed(&[header.as_object().unwrap().clone()])).unwrap_err();
    assert_eq!(error, PackReadError::Format(format.into()));
    assert!(error.to_string().contains("securityv0.pack/2") && error.to_string().contains(format));
}

#[test]
fn a_header_of_a_later_release_names_the_release() {
    let mut lines = lines(&evaluation().pack.bytes);
    lines[0]["config"]["ofTheFuture"] = json!(1);
    assert!(matches!(Pack::read(&sealed(lines.clone())), Err(PackReadError::Unreadable(_))));
    lines[0]["rulePack"]["version"] = json!("entra-2030.1");
    let error = Pack::read(&sealed(lines)).unwrap_err();
    assert!(matches!(&error, PackReadError::Rules { needed, .. } if needed == "entra-2030.1"), "{error}");
}

/// An error repeats names and versions, and nothing that only stands where one belongs.
#[test]
fn errors_repeat_names_alone() {
    let evil = "x\u{1b}[2J\u{202e}\nEQUAL.";
    let good = lines(&evaluation().pack.bytes);
    let error = |change: &dyn Fn(&mut Lines)| {
        let mut lines = good.clone();
        change(&mut lines);
        Pack::read(&sealed(lines)).unwrap_err().to_string()
    };
    let unreadable = error(&|lines| {
        lines[1]["name"] = json!(evil);
        lines[1]["spec"] = json!(1);
    });
    assert_eq!(unreadable, "line 1 cannot be read: it was cut or changed");
    let future = error(&|lines| {
        lines[0]["config"]["ofTheFuture"] = json!(1);
        lines[0]["rulePack"]["version"] = json!(evil);
    });
    assert_eq!(future, "the header (line 0) cannot be read: it was cut or changed");
}

#[test]
fn damage_and_bombs_are_refused() {
    let good = evaluation().pack.bytes;
    for cut in [0, 1, good.len() / 2, good.len() - 1] {
        assert!(Pack::read(&good[..cut]).is_err(), "{cut}");
    }
    let twice: Vec<u8> = good.iter().chain(&good).copied().collect();
    assert_eq!(Pack::read(&twice), Err(PackReadError::Compression));
    let bomb = zstd::encode_all(std::io::repeat(b' ').take(2 * MAX_PACK_LINE_BYTES as u64), 3).unwrap();
    assert!(bomb.len() < 20_000);
    assert!(matches!(Pack::read(&bomb), Err(PackReadError::TooLarge { .. })));
    for text in ["x\n", "[]\n", "{}\n", "\n", "{\"format\":7}\n", "\u{0}\n"] {
        assert!(Pack::read(&zstd::encode_all(text.as_bytes(), 3).unwrap()).is_err(), "{text:?}");
    }
}

use std::io::Read as _;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_give_a_sentence(bytes in proptest::collection::vec(any::<u8>(), 0..400), compress in any::<bool>()) {
        let bytes = if compress { zstd::encode_all(bytes.as_slice(), 3).unwrap() } else { bytes };
        prop_assert!(!Pack::read(&bytes).unwrap_err().to_string().is_empty());
    }
}
