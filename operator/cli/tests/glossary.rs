//! Words that a reader meets, held to the glossary. Sentences are taken from the source of the rules and of what shows
//! findings, so that those count too that no example happens to say. A word of them is explained in `docs/glossary.md`, or
//! stands in `everyday-words.txt`, which somebody reviews; a new noun in a rule fails here until it does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rstest::rstest;
use sv0_cli::glossary::{singulars, terms};

const EVERYDAY: &str = include_str!("everyday-words.txt");
/// Where sentences of ours are written, below `operator`.
const SOURCES: [&str; 11] = [
    "rules/src",
    "cli/src/catalog/mod.rs",
    "cli/src/catalog/planned.rs",
    "cli/src/explain",
    "cli/src/export",
    "cli/src/findings",
    "cli/src/gap.rs",
    "cli/src/graph/mod.rs",
    "cli/src/proof.rs",
    "cli/src/report",
    "cli/src/route.rs",
];

fn operator() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The Rust files in or at `path`, in order.
fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let mut inside: Vec<PathBuf> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    inside.sort();
    let rust = |file: &PathBuf| file.is_dir() || file.extension().is_some_and(|end| end == "rs");
    inside.into_iter().filter(rust).flat_map(|file| files(&file)).collect()
}

/// The text literals of a source file, without its tests, comments and attributes.
fn literals(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]").next().unwrap();
    let (mut all, mut rest) = (Vec::new(), source);
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("#[") || rest.starts_with("#![") {
            attribute(rest)
        } else if first == '\'' {
            character(rest)
        } else if first == '"' {
            let (text, length) = literal(rest);
            all.push(text);
            length
        } else {
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    all
}

/// How long an attribute is.
fn attribute(rest: &str) -> usize {
    let (mut at, mut depth) = (0, 0);
    while let Some(c) = rest[at..].chars().next() {
        at += if c == '"' { literal(&rest[at..]).1 } else { c.len_utf8() };
        match c {
            '[' => depth += 1,
            ']' if depth == 1 => return at,
            ']' => depth -= 1,
            _ => {}
        }
    }
    at
}

/// How long a character literal is, or one sign when it is the mark of a lifetime.
fn character(rest: &str) -> usize {
    let inner = &rest[1..];
    if inner.starts_with('\\') {
        return 1 + inner[2..].find('\'').map_or(1, |end| end + 3);
    }
    let length = inner.chars().next().map_or(0, char::len_utf8);
    if inner[length..].starts_with('\'') { length + 2 } else { 1 }
}

/// A text literal as it is meant, and how long it is in the source.
fn literal(rest: &str) -> (String, usize) {
    let (mut text, mut chars) = (String::new(), rest.char_indices().skip(1).peekable());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (text, at + 1),
            '\\' => match chars.next() {
                Some((_, '\n')) => while chars.next_if(|(_, c)| c.is_whitespace()).is_some() {},
                Some((_, '"')) => text.push('"'),
                _ => text.push(' '),
            },
            c => text.push(c),
        }
    }
    panic!("a text without an end")
}

/// What a person reads of a literal: sentences have more than one word; places for values and commands are no words.
fn sentence(literal: &str) -> Option<String> {
    let inner = literal.trim();
    let shape = ["default-src", "<!doctype", "</", "@media", "digraph"].iter().any(|mark| inner.contains(mark));
    if !inner.contains(' ') || shape {
        return None;
    }
    let mut text = String::new();
    let (mut braces, mut command) = (0, false);
    for c in inner.chars() {
        match c {
            '{' => braces += 1,
            '}' => braces -= 1,
            '`' => command = !command,
            c if braces == 0 && !command => text.push(c),
            _ => {}
        }
    }
    Some(text)
}

/// The words of a sentence. Names of permissions and fields, paths, numbers and flags are none. An abbreviation stays in
/// capital letters.
fn words(sentence: &str) -> Vec<String> {
    let inner = |c: char| c.is_ascii_digit() || "._/\\|#$%&+:@=(){}<>\"".contains(c);
    let mixed = |word: &str| {
        let mut pairs = word.chars().zip(word.chars().skip(1));
        pairs.any(|(a, b)| a.is_lowercase() && b.is_uppercase())
    };
    let ends: &[char] = &[
        '.', ',', ';', ':', '(', ')', '"', '“', '”', '\'', '?', '!', '…', '[', ']', '<', '>', '=', '*', '–', '·', '-',
        '└', '─',
    ];
    let words = sentence.split_whitespace().filter(|word| !word.starts_with('-')).map(|word| word.trim_matches(ends));
    let words = words.filter(|word| word.chars().count() > 1 && !word.contains(inner) && !mixed(word));
    let lower = |word: &str| {
        let short = word.chars().all(char::is_uppercase) && word.chars().count() > 1;
        if short { word.to_owned() } else { word.to_lowercase() }
    };
    words.map(lower).collect()
}

/// Every word with the first sentence that says it.
fn said() -> BTreeMap<String, String> {
    let mut said = BTreeMap::new();
    for file in SOURCES.iter().flat_map(|source| files(&operator().join(source))) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        // Shapes and styles, not sentences.
        if ["svg.rs", "picture.rs", "markdown.rs"].contains(&name.as_str()) {
            continue;
        }
        for sentence in literals(&std::fs::read_to_string(&file).unwrap()).iter().filter_map(|text| sentence(text)) {
            for word in words(&sentence) {
                said.entry(word).or_insert_with(|| format!("{name}: {sentence}"));
            }
        }
    }
    for (term, meaning) in terms() {
        for word in words(&sentence(meaning).unwrap()) {
            said.entry(word).or_insert_with(|| format!("docs/glossary.md, {term}: {meaning}"));
        }
    }
    said
}

/// Words that a term of the glossary is, or consists of.
fn explained() -> BTreeSet<String> {
    terms().into_iter().flat_map(|(term, _)| term.split(' ').map(str::to_lowercase).collect::<Vec<_>>()).collect()
}

fn everyday() -> Vec<&'static str> {
    EVERYDAY.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// Words that nobody has explained.
fn unknown(words: impl IntoIterator<Item = String>) -> Vec<String> {
    let (explained, everyday) = (explained(), everyday());
    let known = |word: &String| {
        everyday.contains(&word.as_str()) || singulars(&word.to_lowercase()).iter().any(|one| explained.contains(one))
    };
    words.into_iter().filter(|word| !known(word)).collect()
}

#[test]
fn every_word_is_explained_or_an_everyday_one() {
    let said = said();
    assert!(said.len() > 800, "the sentences are read: {}", said.len());
    let unknown: Vec<String> =
        unknown(said.keys().cloned()).iter().map(|word| format!("{word} ({})", said[word])).collect();
    assert!(unknown.is_empty(), "neither in docs/glossary.md nor in everyday-words.txt:\n{}", unknown.join("\n"));
}

/// The list holds what is said, and nothing that the glossary explains.
#[test]
fn the_list_of_everyday_words_is_kept_small() {
    let (said, explained) = (said(), explained());
    for part in EVERYDAY.split("\n\n") {
        let part: Vec<&str> = part.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(part.is_sorted_by(|a, b| a < b), "each part is in order, and each word stands there once");
    }
    let idle: Vec<&str> = everyday().into_iter().filter(|word| !said.contains_key(*word)).collect();
    assert!(idle.is_empty(), "said nowhere any more: {idle:?}");
    let twice: Vec<&str> = everyday().into_iter().filter(|word| explained.contains(*word)).collect();
    assert!(twice.is_empty(), "explained by the glossary: {twice:?}");
}

/// The check can fail, for a sentence of each place that it reads.
#[rstest]
#[case(r#"title: "An identity holds a flux capacitor","#, &["capacitor", "flux"])]
#[case(r#"format!("{name} reaches the {kind} of a \"quorum\"")"#, &["quorum"])]
#[case("says(\"It is kept in an \\\n     enclave.\")", &["enclave"])]
#[case(r#"html! { p { "Entropy of the estate." } }"#, &["entropy"])]
#[case("// a \"flux capacitor\" here\n#[doc = \"a flux capacitor\"]\nlet a: &'a str = \"of it\"; let b = '\"';", &[])]
#[case("\"of it\"\n#[cfg(test)]\nmod tests { \"a flux capacitor\" }", &[])]
#[case(r#""needs Sites.Selected, `kubectl quux`, servicePrincipals and 3 days""#, &[])]
fn a_new_noun_is_seen(#[case] source: &str, #[case] nouns: &[&str]) {
    let sentences: Vec<String> = literals(source).iter().filter_map(|text| sentence(text)).collect();
    let words: BTreeSet<String> = sentences.iter().flat_map(|sentence| words(sentence)).collect();
    assert_eq!(unknown(words), nouns);
}

/// A reader who meets a kind of thing can look it up, and the glossary explains nothing that nobody meets.
#[test]
fn the_glossary_is_whole_and_holds_nothing_else() {
    let glossary = terms();
    let kinds: Vec<String> =
        sv0_graph::NodeKind::ALL.iter().map(|kind| sv0_cli::explain::words::kind(kind.as_str())).collect();
    for kind in &kinds {
        assert!(glossary.iter().any(|(term, _)| term == kind), "docs/glossary.md does not say what a {kind} is");
    }
    let said: BTreeSet<String> = said().keys().flat_map(|word| singulars(&word.to_lowercase())).collect();
    // Names of resources and classes of evidence stand alone, not in sentences.
    let alone = ["ConnectorInstance", "FindingException", "direct", "structural"];
    let met = |term: &str| {
        let said = term.split(' ').all(|word| said.contains(&word.to_lowercase()));
        said || alone.contains(&term) || kinds.iter().any(|kind| kind == term)
    };
    let idle: Vec<&str> = glossary.iter().map(|(term, _)| *term).filter(|term| !met(term)).collect();
    assert!(idle.is_empty(), "nobody meets {idle:?}");
    for (term, meaning) in &glossary {
        assert!(meaning.ends_with('.') && meaning.len() < 260, "{term}");
    }
    assert!(glossary.is_sorted_by(|a, b| a.0.to_lowercase() < b.0.to_lowercase()), "in the order of the alphabet");
}

/// Tiers, exposures and classes of evidence stand in the glossary with the words of the program.
#[test]
fn letters_and_numbers_are_explained() {
    let glossary = terms();
    let meaning = |term: &str| glossary.iter().find(|entry| entry.0 == term).unwrap().1;
    for tier in sv0_rules::Tier::ALL {
        assert!(meaning("tier").contains(&format!("{tier:?}: ")), "{tier:?}");
    }
    for exposure in sv0_rules::Exposure::ALL {
        assert!(meaning("exposure").contains(&format!("{exposure:?}: ")), "{exposure:?}");
    }
    for class in ["direct", "structural", "temporal"] {
        assert!(meaning(class).contains("evidence"), "{class}");
    }
}
