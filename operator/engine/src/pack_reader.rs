//! Reads an evidence pack: takes bytes from anywhere, gives header and findings, or a sentence that names the line
//! which was changed, lost, doubled or moved.
//!
//! Trusts nothing: every bound below is checked before memory is spent, and whatever [`crate::pack::write_pack`] would
//! not have written is an error. What it cannot see is a pack that was made anew as a whole: that has another digest
//! than the one in the Estate's status.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};

use serde::Deserialize;
use serde_json::{Map, Value};
use sv0_api::FindingSpec;
use sv0_graph::canonical::{digest, to_canonical_json};

use crate::fire::rule_pack_version;
use crate::pack::{BEFORE, Closing, DIGEST, LINE, PACK_FORMAT, PackHeader, own_digest};

/// Most uncompressed bytes of a pack that is read: about 100,000 findings.
pub const MAX_PACK_BYTES: u64 = 512 * 1024 * 1024;
/// Most bytes of one line.
pub const MAX_PACK_LINE_BYTES: usize = 32 * 1024 * 1024;
/// Most lines.
pub const MAX_PACK_LINES: usize = 1_000_000;
/// Most JSON values of all lines together. A line of findings has one in 20 bytes or more; one of nothing but empty lists
/// takes fifty times its text in memory.
pub const MAX_PACK_VALUES: u64 = MAX_PACK_BYTES / 20;
/// Largest window that a pack may ask the reader to hold: 16 MiB.
const MAX_WINDOW_LOG: u32 = 24;

/// A pack whose chain holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Pack {
    /// What the evaluation was told, and what it concluded besides findings.
    pub header: PackHeader,
    /// By name.
    pub findings: BTreeMap<String, PackFinding>,
    /// The header's line as it was read.
    pub header_line: Map<String, Value>,
}

/// One finding of a pack.
#[derive(Clone, Debug, PartialEq)]
pub struct PackFinding {
    /// Whether it stands as a resource.
    pub kept: bool,
    /// As it stands, or would stand, as a resource.
    pub spec: FindingSpec,
    /// The whole line as it was read, without what binds it to its neighbours.
    pub line: Map<String, Value>,
}

/// Which line, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    number: u64,
    name: Option<String>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            _ if self.number == 0 => f.write_str("the header (line 0)"),
            Some(name) => write!(f, "the finding {name} (line {})", self.number),
            None => write!(f, "line {}", self.number),
        }
    }
}

/// Why a pack is not read. Names and numbers of lines only, never what stands in them.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PackReadError {
    /// Another version wrote it.
    #[error("the pack is not in format {PACK_FORMAT} but in {0:?}: read it with the version that wrote it")]
    Format(String),
    /// The header has fields that this version does not know, since other rules wrote it.
    #[error(
        "the pack was written with the rule pack {needed}, this program has {ours}: read it with the release that wrote it"
    )]
    Rules {
        /// The version that wrote it.
        needed: String,
        /// The version of this program.
        ours: String,
    },
    /// The compressed stream is cut or damaged, or holds more than one frame.
    #[error("the pack's compressed stream is cut or damaged")]
    Compression,
    /// A bound is passed.
    #[error("the pack has more than {limit} {what}")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
    /// Not a line of a pack.
    #[error("{0} cannot be read: it was cut or changed")]
    Unreadable(Place),
    /// The line contradicts its own digest.
    #[error("{0} was changed: it does not have the digest that it carries")]
    Changed(Place),
    /// The line agrees with itself, but the next one names another.
    #[error("{0} was replaced: the line behind it was written behind another one")]
    Replaced(Place),
    /// Numbers are left out.
    #[error("{count} missing before {before}: line {first} and what follows it was taken out")]
    Lost {
        /// How many, in words.
        count: String,
        /// The first number that is missing.
        first: u64,
        /// The line behind the hole.
        before: Place,
    },
    /// A line stands there twice.
    #[error("{0} stands in the pack twice")]
    Doubled(Place),
    /// A line stands at another place than its number says.
    #[error("{0} was moved: it stands where line {1} belongs")]
    Moved(Place, u64),
    /// The names of findings do not ascend.
    #[error("{0} stands behind one with a greater name, or the same")]
    Order(Place),
    /// There is no closing line at the end.
    #[error("the pack ends before its closing line, after {0}")]
    Unclosed(Place),
    /// Evidence is not what its digest names.
    #[error("the evidence of {0} is not what its digest names")]
    Evidence(Place),
    /// Counts contradict the content.
    #[error("the pack contradicts itself: {0}")]
    Contradiction(&'static str),
}

type Result<T> = std::result::Result<T, PackReadError>;

/// A line that agrees with itself.
struct Line {
    place: Place,
    own: String,
    content: Map<String, Value>,
}

impl Pack {
    /// Reads and checks a pack.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let mut lines = lines(bytes)?;
        sequence(&lines)?;
        chained(&lines)?;
        let Some(closing) = lines.pop() else { return Err(unclosed(&lines)) };
        let count = lines.len().saturating_sub(1) as u64;
        // The closing line has neither a name nor a format.
        if closing.place.name.is_some() || closing.place.number == 0 {
            lines.push(closing);
            return Err(unclosed(&lines));
        }
        let place = closing.place.clone();
        let closing: Closing = typed(closing.content).ok_or(PackReadError::Unreadable(place))?;
        let mut lines = lines.into_iter();
        let header = lines.next().ok_or(PackReadError::Contradiction("it has no header"))?;
        let (place, header_line) = (header.place.clone(), content(header));
        let header: PackHeader = typed(header_line.clone()).ok_or_else(|| unknown_header(&header_line, place))?;
        // One snapshot that is named again and again would be read as often.
        let keys: Vec<_> = header.snapshots.iter().map(|one| (one.role, one.instance_uid.as_str())).collect();
        if !keys.is_sorted_by(|a, b| a < b) {
            return Err(PackReadError::Contradiction("its snapshots are not in order, or one is named twice"));
        }
        let mut findings = BTreeMap::new();
        let mut last = String::new();
        for line in lines {
            let place = line.place.clone();
            let (name, finding) = finding(line)?;
            if name <= last {
                return Err(PackReadError::Order(place));
            }
            last.clone_from(&name);
            findings.insert(name, finding);
        }
        let kept = findings.values().filter(|finding| finding.kept).count() as u64;
        if (closing.findings, header.findings, closing.kept) != (count, count, kept) {
            return Err(PackReadError::Contradiction("header or closing line count other findings than it holds"));
        }
        Ok(Self { header, findings, header_line })
    }

    /// The findings that stand as resources.
    pub fn kept(&self) -> impl Iterator<Item = (&String, &PackFinding)> {
        self.findings.iter().filter(|(_, finding)| finding.kept)
    }
}

/// A header of another release may have fields of its own: its rule pack says so better than "unreadable".
fn unknown_header(header: &Map<String, Value>, place: Place) -> PackReadError {
    let needed = header.get("rulePack").and_then(|rules| rules.get("version")).and_then(Value::as_str);
    let ours = rule_pack_version();
    match needed {
        Some(needed) if needed != ours && plain(needed) => PackReadError::Rules { needed: needed.to_owned(), ours },
        _ => PackReadError::Unreadable(place),
    }
}

/// Whether a text that a pack holds may stand in an error: short, and of letters, digits and the signs of names and versions.
fn plain(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.+_".contains(&b))
}

fn unclosed(lines: &[Line]) -> PackReadError {
    let last = lines.last().map_or(Place { number: 0, name: None }, |line| line.place.clone());
    PackReadError::Unclosed(last)
}

/// Uncompresses within the bounds, and checks each line against its own digest.
fn lines(bytes: &[u8]) -> Result<Vec<Line>> {
    let damaged = |_| PackReadError::Compression;
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(damaged)?.single_frame();
    decoder.window_log_max(MAX_WINDOW_LOG).map_err(damaged)?;
    let mut text = BufReader::new((&mut decoder).take(MAX_PACK_BYTES + 1));
    let (mut all, mut raw, mut total, mut in_all) = (Vec::new(), Vec::new(), 0u64, 0u64);
    loop {
        raw.clear();
        let most = MAX_PACK_LINE_BYTES as u64 + 1;
        let read = (&mut text).take(most).read_until(b'\n', &mut raw).map_err(damaged)?;
        if read == 0 {
            break;
        }
        total += read as u64;
        at_most("bytes", total, MAX_PACK_BYTES)?;
        at_most("bytes in one line", read as u64, MAX_PACK_LINE_BYTES as u64)?;
        in_all += values(&raw);
        at_most("values", in_all, MAX_PACK_VALUES)?;
        at_most("lines", all.len() as u64 + 1, MAX_PACK_LINES as u64)?;
        all.push(line(&raw, all.len() as u64)?);
    }
    drop(text);
    if decoder.finish().is_empty() { Ok(all) } else { Err(PackReadError::Compression) }
}

/// How many JSON values a line has at most: what begins a list or an object, or parts two entries, outside of strings.
fn values(line: &[u8]) -> u64 {
    let (mut count, mut quoted, mut escaped) = (1, false, false);
    for byte in line {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' | b',' if !quoted => count += 1,
            _ => {}
        }
    }
    count
}

fn at_most(what: &'static str, actual: u64, limit: u64) -> Result<()> {
    if actual <= limit { Ok(()) } else { Err(PackReadError::TooLarge { what, limit }) }
}

/// One line at position `at`.
fn line(raw: &[u8], at: u64) -> Result<Line> {
    let nowhere = || PackReadError::Unreadable(Place { number: at, name: None });
    let (b'\n', text) = raw.split_last().ok_or_else(nowhere)? else { return Err(nowhere()) };
    let mut content: Map<String, Value> = serde_json::from_slice(text).map_err(|_| nowhere())?;
    let word = |key: &str| content.get(key).and_then(Value::as_str).map(str::to_owned);
    if at == 0 && word("format").as_deref() != Some(PACK_FORMAT) {
        // The version first: nothing that stands behind it is known in another one.
        let format = word("format").filter(|format| format.len() <= 64).ok_or_else(nowhere)?;
        return Err(PackReadError::Format(format));
    }
    let number = content.get(LINE).and_then(Value::as_u64).unwrap_or(at);
    // An error repeats it: whatever else stands there is no name of a finding.
    let name = word("name").filter(|name| plain(name));
    let place = Place { number, name };
    let as_written = to_canonical_json(&content).map_err(|_| nowhere())?;
    let Some(Value::String(own)) = content.remove(DIGEST) else { return Err(PackReadError::Unreadable(place)) };
    if as_written != text || own_digest(&content).map_err(|_| nowhere())? != own {
        return Err(PackReadError::Changed(place));
    }
    Ok(Line { place, own, content })
}

/// The numbers are 0, 1, 2, ... Otherwise: what is missing, doubled or at another place.
fn sequence(lines: &[Line]) -> Result<()> {
    let wrong = (0u64..).zip(lines).find(|(at, line)| line.place.number != *at);
    let Some((at, line)) = wrong else { return Ok(()) };
    let number = line.place.number;
    let before = usize::try_from(at).unwrap_or(usize::MAX);
    if lines.iter().take(before).any(|earlier| earlier.place.number == number) {
        return Err(PackReadError::Doubled(line.place.clone()));
    }
    // A line that is missing here may stand further down: then it was moved and not lost.
    if lines.iter().skip(before).any(|later| later.place.number == at) {
        return Err(PackReadError::Moved(line.place.clone(), at));
    }
    let count = number.saturating_sub(at);
    let count = if count == 1 { "1 line is".to_owned() } else { format!("{count} lines are") };
    Err(PackReadError::Lost { count, first: at, before: line.place.clone() })
}

/// Each line names the digest of the one before it.
fn chained(lines: &[Line]) -> Result<()> {
    for pair in lines.windows(2) {
        let [before, line] = pair else { continue };
        if line.content.get(BEFORE).and_then(Value::as_str) != Some(before.own.as_str()) {
            return Err(PackReadError::Replaced(before.place.clone()));
        }
    }
    match lines.first() {
        Some(first) if first.content.contains_key(BEFORE) => Err(PackReadError::Unreadable(first.place.clone())),
        _ => Ok(()),
    }
}

/// What a line says, without what binds it to its neighbours.
fn content(line: Line) -> Map<String, Value> {
    let mut content = line.content;
    content.remove(LINE);
    content.remove(BEFORE);
    content
}

fn typed<T: for<'de> Deserialize<'de>>(content: Map<String, Value>) -> Option<T> {
    T::deserialize(Value::Object(content)).ok()
}

fn finding(line: Line) -> Result<(String, PackFinding)> {
    #[derive(Deserialize)]
    struct Parts {
        name: String,
        kept: bool,
        spec: FindingSpec,
        evidence: String,
    }
    let place = line.place.clone();
    let content = content(line);
    let Some(Parts { name, kept, spec, evidence }) = typed(content.clone()) else {
        return Err(PackReadError::Unreadable(place));
    };
    let ordered = match content.get("full") {
        Some(full) => full.get("evidence"),
        None => content.get("spec").and_then(|spec| spec.get("evidence")),
    };
    let actual = ordered.and_then(|evidence| to_canonical_json(evidence).ok()).map(|bytes| digest(&bytes));
    if actual.as_deref() != Some(evidence.as_str()) {
        return Err(PackReadError::Evidence(place));
    }
    Ok((name, PackFinding { kept, spec, line: content }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_outside_of_strings() {
        assert_eq!(values(br#"{"a":[1,2],"b":"[,{\"[,"}"#), 5);
        assert_eq!(values(br#""\\",[]"#), 3);
    }

    /// Small when compressed, within every bound of length, and more than the memory of a machine.
    #[test]
    fn a_line_of_nothing_but_values_is_refused() {
        let line = std::io::repeat(b',').take(MAX_PACK_LINE_BYTES as u64 - 1).chain(b"\n".as_slice());
        let bomb = zstd::encode_all(line, 1).unwrap();
        assert!(bomb.len() < 20_000);
        assert_eq!(Pack::read(&bomb), Err(PackReadError::TooLarge { what: "values", limit: MAX_PACK_VALUES }));
    }
}
