//! The format keeps what it is given, gives equal bytes for equal facts, and refuses whatever it would not write.

use proptest::prelude::*;

use crate::canonical::sha256_hex;
use crate::model::*;
use crate::snapshot::*;
use crate::testing::{SnapshotBuilder, text};

fn small() -> SnapshotBuilder {
    let mut b = SnapshotBuilder::entra("uid-1", "tenant-1");
    let app = b.node("applications", NodeKind::Application, "app-1", &[(attr::NAME, text("payroll"))]);
    let sp = b.node("servicePrincipals", NodeKind::ServicePrincipal, "sp-1", &[(attr::ENABLED, Value::Bool(true))]);
    b.edge("applications", &app, EdgeKind::Instantiates, &sp);
    b
}

fn encode(b: &mut SnapshotBuilder) -> EncodedSnapshot {
    write_snapshot(b.header().clone(), b.rows()).unwrap()
}

fn decode(encoded: &EncodedSnapshot) -> Result<Snapshot, SnapshotError> {
    let manifest = read_manifest(&encoded.manifest_bytes)?;
    let find = |info: &PartInfo| encoded.parts.iter().find(|part| part.info == *info).map(|part| &part.bytes[..]);
    read_snapshot(manifest, find)
}

/// A part whose text is whatever the test wants, under its true digest.
fn forged(kind: PartKind, lines: &str, rows: u64) -> (PartInfo, Vec<u8>) {
    let bytes = zstd::bulk::compress(lines.as_bytes(), 3).unwrap();
    (PartInfo { kind, sha256: sha256_hex(&bytes), bytes: bytes.len() as u64, rows }, bytes)
}

fn line(id: &str) -> String {
    format!("{{\"id\":\"entra:t:Human:{id}\",\"kind\":\"Human\",\"op\":0}}\n")
}

#[test]
fn what_is_written_is_read_back_and_the_manifest_names_it() {
    let mut b = small();
    let encoded = encode(&mut b);
    assert_eq!(decode(&encoded).unwrap(), b.build());
    assert_eq!(encoded.parts.len(), 2);
    assert_eq!(encoded.digest, format!("sha256:{}", sha256_hex(&encoded.manifest_bytes)));
    for part in &encoded.parts {
        assert_eq!(part.info.sha256, sha256_hex(&part.bytes));
    }
}

#[test]
fn times_and_scan_ids_leave_the_parts_untouched() {
    let first = encode(&mut small());
    let mut later = small();
    later.header().scan_id = "00000000009999-bbbbbbbb".to_owned();
    later.header().observed_at = "2026-02-03T04:05:06Z".parse().unwrap();
    later.header().finished_at = "2026-02-03T04:06:06Z".parse().unwrap();
    let second = encode(&mut later);
    assert_eq!(first.parts, second.parts);
    assert_ne!(first.digest, second.digest);
}

#[test]
fn an_empty_snapshot_has_no_parts() {
    let encoded = encode(&mut SnapshotBuilder::entra("uid-1", "tenant-1"));
    assert!(encoded.parts.is_empty());
    assert!(decode(&encoded).unwrap().nodes.is_empty());
}

#[test]
fn a_large_node_becomes_several_rows_and_a_large_snapshot_several_parts() {
    let mut b = SnapshotBuilder::entra("uid-1", "tenant-1");
    let roles: Vec<(String, Value)> = (0..3000).map(|i| (format!("appRole:{i:036}"), text("Some.Role.Name"))).collect();
    let roles: Vec<(&str, Value)> = roles.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    b.node("servicePrincipals", NodeKind::ServicePrincipal, "graph", &roles);
    for i in 0..3000 {
        b.node(
            "ownerAccounts",
            NodeKind::Human,
            &format!("{i:06}"),
            &[(attr::NAME, text(&format!("{i}").repeat(1000)))],
        );
    }
    let encoded = encode(&mut b);
    let kinds: Vec<PartKind> = encoded.parts.iter().map(|part| part.info.kind).collect();
    assert!(kinds.len() > 1 && kinds.iter().all(|kind| *kind == PartKind::Nodes));
    let snapshot = decode(&encoded).unwrap();
    let pieces: Vec<_> = snapshot.nodes.iter().filter(|row| row.id.vendor_id() == "graph").collect();
    assert!(pieces.len() > 1);
    assert_eq!(pieces.iter().map(|row| row.attrs.len()).sum::<usize>(), 3000);
}

#[test]
fn a_row_outside_the_format_is_not_written() {
    let mut wrong_kind = small();
    let id = wrong_kind.id(NodeKind::Human, "h");
    let row = NodeRow { id, kind: NodeKind::Group, op: 0, attrs: std::collections::BTreeMap::new() };
    let error = write_snapshot(wrong_kind.header().clone(), [row.clone().into()]).unwrap_err();
    assert!(matches!(error, SnapshotError::Invalid(0, _)));

    let unlisted = NodeRow { kind: NodeKind::Human, op: 999, ..row };
    let error = write_snapshot(wrong_kind.header().clone(), [unlisted.into()]).unwrap_err();
    assert!(matches!(error, SnapshotError::Invalid(0, _)));

    let mut long = small();
    long.node("applications", NodeKind::Application, "x", &[(attr::NAME, text(&"n".repeat(MAX_TEXT_BYTES + 1)))]);
    assert!(matches!(write_snapshot(long.header().clone(), long.rows()), Err(SnapshotError::Invalid(_, _))));
}

#[test]
fn a_header_that_contradicts_itself_is_not_written() {
    let mut b = small();
    b.header().tenant = "a:b".to_owned();
    assert!(matches!(write_snapshot(b.header().clone(), []), Err(SnapshotError::Header(_))));
    let mut b = small();
    b.header().finished_at = "1960-01-01T00:00:00Z".parse().unwrap();
    assert!(matches!(write_snapshot(b.header().clone(), []), Err(SnapshotError::Header(_))));
    let mut b = small();
    let twice = b.header().coverage[0].clone();
    b.header().coverage.push(twice);
    assert!(matches!(write_snapshot(b.header().clone(), []), Err(SnapshotError::Header(_))));
}

#[test]
fn another_version_is_named_as_such_even_with_unknown_fields() {
    let newer = br#"{"header":{"format":"securityv0.snapshot/2","new":1},"parts":[],"extra":{}}"#;
    assert_eq!(read_manifest(newer), Err(SnapshotError::Format));
    assert_eq!(read_manifest(b"{}"), Err(SnapshotError::Manifest));
    assert_eq!(read_manifest(b"\xff\xfe"), Err(SnapshotError::Manifest));
    let large = vec![b' '; MAX_MANIFEST_BYTES + 1];
    assert!(matches!(read_manifest(&large), Err(SnapshotError::TooLarge { .. })));
}

#[test]
fn unknown_fields_of_the_same_version_are_refused() {
    let encoded = encode(&mut small());
    let mut json: serde_json::Value = serde_json::from_slice(&encoded.manifest_bytes).unwrap();
    json["header"]["surprise"] = 1.into();
    assert_eq!(read_manifest(&serde_json::to_vec(&json).unwrap()), Err(SnapshotError::Manifest));
}

#[test]
fn changed_cut_and_missing_parts_are_told_apart_from_good_ones() {
    let encoded = encode(&mut small());
    let mut changed = encoded.clone();
    let last = changed.parts[0].bytes.len() - 1;
    changed.parts[0].bytes[last] ^= 1;
    assert_eq!(decode(&changed), Err(SnapshotError::DigestMismatch(0)));

    let mut cut = encoded.clone();
    cut.parts[1].bytes.pop();
    assert_eq!(decode(&cut), Err(SnapshotError::DigestMismatch(1)));

    let mut missing = encoded;
    missing.parts.remove(1);
    assert_eq!(decode(&missing), Err(SnapshotError::MissingPart(1)));
}

#[test]
fn a_stream_that_ends_early_or_goes_on_too_long_is_refused() {
    let (_, bytes) = forged(PartKind::Nodes, &line("a"), 1);
    let cut = &bytes[..bytes.len() - 1];
    let info = PartInfo { kind: PartKind::Nodes, sha256: sha256_hex(cut), bytes: cut.len() as u64, rows: 1 };
    assert_eq!(read_part(&info, cut), Err(SnapshotError::Compression));

    let mut more = bytes.clone();
    more.extend_from_slice(&bytes);
    let info = PartInfo { kind: PartKind::Nodes, sha256: sha256_hex(&more), bytes: more.len() as u64, rows: 1 };
    assert_eq!(read_part(&info, &more), Err(SnapshotError::Compression));
}

#[test]
fn a_decompression_bomb_stops_at_the_bound() {
    let (info, bytes) = forged(PartKind::Nodes, &"\n".repeat(MAX_PART_BYTES * 4), 1);
    assert!(bytes.len() < 64 * 1024, "the bomb is small: {}", bytes.len());
    let limit = MAX_PART_BYTES as u64;
    let expected = SnapshotError::TooLarge { what: "uncompressed part bytes", actual: limit + 1, limit };
    assert_eq!(read_part(&info, &bytes), Err(expected));
}

#[test]
fn rows_must_be_sorted_unique_counted_whole_and_known() {
    let read = |text: &str, rows| {
        let (info, bytes) = forged(PartKind::Nodes, text, rows);
        read_part(&info, &bytes)
    };
    let (a, b) = (line("a"), line("b"));
    assert!(read(&format!("{a}{b}"), 2).is_ok());
    assert_eq!(read(&format!("{b}{a}"), 2), Err(SnapshotError::Order(1)));
    assert_eq!(read(&format!("{a}{a}"), 2), Err(SnapshotError::Order(1)));
    assert_eq!(read(&format!("{a}{b}"), 3), Err(SnapshotError::RowCount { expected: 3, actual: 2 }));
    assert_eq!(read(a.trim_end(), 1), Err(SnapshotError::Cut));
    assert_eq!(read("\n", 1), Err(SnapshotError::Row(0)));
    assert_eq!(read(&a.replace("\"op\"", "\"future\":1,\"op\""), 1), Err(SnapshotError::Row(0)));
    assert_eq!(read(&a.replace("\"kind\":\"Human\"", "\"kind\":\"Martian\""), 1), Err(SnapshotError::Row(0)));
    let wide = line(&"x".repeat(MAX_ROW_BYTES));
    assert!(matches!(read(&wide, 1), Err(SnapshotError::TooLarge { what: "row bytes", .. })));
    let deep = format!("{}\n", "[".repeat(60_000));
    assert_eq!(read(&deep, 1), Err(SnapshotError::Row(0)));
}

#[test]
fn a_row_that_lies_about_its_kind_or_operation_is_refused_on_reading() {
    let bad = [
        line("a").replace("entra:t:Human", "entra:t:Group"),
        line("a").replace("entra:t:Human:a", "entra::Human:a"),
        line("a").replace("entra:t:Human:a", "entra:t:Human:"),
        line("a").replace("\"op\":0", "\"op\":400"),
    ];
    for text in bad {
        let (info, bytes) = forged(PartKind::Nodes, &text, 1);
        let manifest = Manifest { header: small().header().clone(), parts: vec![info] };
        assert!(matches!(read_snapshot(manifest, |_| Some(&bytes)), Err(SnapshotError::Invalid(0, _))), "{text}");
    }
}

#[test]
fn small_parts_that_hold_very_much_stop_at_the_bound() {
    let lines: String = (0..2000).map(|n| line(&format!("{n:06}"))).collect();
    let (info, bytes) = forged(PartKind::Nodes, &lines, 2000);
    let manifest = Manifest { header: small().header().clone(), parts: vec![info] };
    let read = |most: u64| {
        let mut reader = SnapshotReader::new(manifest.clone(), most);
        while reader.next_part()?.is_some() {
            reader.add(&bytes)?;
        }
        reader.finish().map(|packed| packed.nodes.len() as u64 + packed.foreign)
    };
    let text = lines.len() as u64;
    assert!(u64::try_from(bytes.len()).unwrap() < text / 4);
    assert_eq!(read(text), Ok(2000));
    assert!(matches!(read(text - 1), Err(SnapshotError::TooLarge { .. })));
    let huge = PartInfo { bytes: 1 << 40, ..manifest.parts[0].clone() };
    let reader = SnapshotReader::new(Manifest { parts: vec![huge], ..manifest.clone() }, text);
    assert!(matches!(reader.next_part(), Err(SnapshotError::TooLarge { .. })), "before anything is fetched");
    assert!(matches!(SnapshotReader::new(manifest, text).finish(), Err(SnapshotError::MissingPart(0))));
}

/// A snapshot that an older version wrote must stay readable: words are added, none is changed.
#[test]
fn every_kind_of_edge_has_a_word_of_its_own_and_is_read_by_it() {
    let words: std::collections::BTreeSet<&str> = EdgeKind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(words.len(), EdgeKind::ALL.len());
    for kind in EdgeKind::ALL {
        let word = format!("\"{kind}\"");
        assert_eq!(serde_json::to_string(kind).unwrap(), word);
        assert_eq!(serde_json::from_str::<EdgeKind>(&word).unwrap(), *kind);
    }
    // The order of kinds is the order of rows in stored parts.
    assert!(EdgeKind::ALL.is_sorted() && EdgeKind::Owns < EdgeKind::SameAs && EdgeKind::SameAs < EdgeKind::CanRead);
}

#[test]
fn a_value_is_read_by_its_form_and_nothing_else_is_one() {
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    assert_eq!(read("true"), Some(Value::Bool(true)));
    assert_eq!(read("-7"), Some(Value::Int(-7)));
    assert_eq!(read("7"), Some(Value::Int(7)));
    assert_eq!(read("\"a\\n\""), Some(text("a\n")));
    assert_eq!(read("[\"a\",\"b\"]"), Some(Value::List(vec!["a".to_owned(), "b".to_owned()])));
    for refused in ["null", "1.5", "18446744073709551615", "{}", "[1]", "[[\"a\"]]"] {
        assert_eq!(read(refused), None, "{refused}");
    }
}

proptest! {
    #[test]
    fn order_and_repetition_of_rows_never_show(
        rows in prop::collection::vec((0usize..4, "[a-z]{1,4}", any::<bool>()), 0..40),
        seed in any::<u64>(),
    ) {
        let mut b = SnapshotBuilder::entra("uid-1", "tenant-1");
        let kinds = [NodeKind::Human, NodeKind::Group, NodeKind::Application, NodeKind::ServicePrincipal];
        for (kind, id, enabled) in &rows {
            b.node("servicePrincipals", kinds[*kind], id, &[(attr::ENABLED, Value::Bool(*enabled))]);
        }
        let mut shuffled = b.rows();
        shuffled.extend(b.rows().into_iter().take(7));
        let len = shuffled.len().max(1);
        for i in 0..shuffled.len() {
            let other = usize::try_from(seed.rotate_left(u32::try_from(i % 64).unwrap()) % len as u64).unwrap();
            shuffled.swap(i, other);
        }
        let plain = encode(&mut b);
        prop_assert_eq!(&write_snapshot(b.header().clone(), shuffled).unwrap(), &plain);
        prop_assert_eq!(decode(&plain).unwrap(), b.build());
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        prop_assert!(read_manifest(&bytes).is_err());
        let info = PartInfo { kind: PartKind::Edges, sha256: sha256_hex(&bytes), bytes: bytes.len() as u64, rows: 0 };
        prop_assert!(read_part(&info, &bytes).is_err());
        let text = String::from_utf8_lossy(&bytes);
        let (info, bytes) = forged(PartKind::Edges, &text, 1);
        prop_assert!(read_part(&info, &bytes).is_err());
    }
}
