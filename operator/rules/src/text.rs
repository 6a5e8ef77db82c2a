//! Words for people: vendor strings made harmless, absolute dates. Vendor strings are hostile until they went through
//! [`display_name`].

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sv0_graph::UnknownReason;

/// Why it is not known whether a record holds, to end a sentence with.
pub(crate) const fn doubt(reason: UnknownReason) -> &'static str {
    match reason {
        UnknownReason::DynamicValue => "it must be activated first",
        UnknownReason::Unparsable => "it has a condition, and conditions are not weighed",
        other => other.sentence(),
    }
}

/// Most characters of a vendor's name in our sentences.
pub(crate) const MAX_NAME_CHARS: usize = 80;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Most marks that stand above, below or across one character. Languages need two.
const MAX_MARKS: usize = 3;

/// A vendor's text, fit to stand in a sentence: no control, bidirectional or invisible characters, no line breaks, no
/// double quotes, single spaces, no pile of marks that covers the lines around it, at most 80 characters.
pub fn display_name(raw: &str) -> String {
    if ordinary(raw) { raw.to_owned() } else { cleaned(raw) }
}

/// Whether a text is short, of printable characters of one byte, and with single spaces between words: nearly every one is,
/// and has nothing to clean.
fn ordinary(raw: &str) -> bool {
    // Looked at to its end, several bytes at once.
    let printable = |all: bool, byte: &u8| all & matches!(byte, b' ' | b'!' | b'#'..=b'~');
    let spaced = raw.starts_with(' ') || raw.ends_with(' ') || raw.contains("  ");
    !raw.is_empty() && raw.len() <= MAX_NAME_CHARS && raw.as_bytes().iter().fold(true, printable) && !spaced
}

fn cleaned(raw: &str) -> String {
    let mut out = String::new();
    let mut space = false;
    let mut count = 0;
    for c in unpiled(raw) {
        if c.is_whitespace() {
            space = count > 0;
            continue;
        }
        if c.is_control() || invisible(c) {
            continue;
        }
        if count + usize::from(space) >= MAX_NAME_CHARS {
            out.push('…');
            return out;
        }
        if space {
            out.push(' ');
            count += 1;
            space = false;
        }
        out.push(if c == '"' { '\'' } else { c });
        count += 1;
    }
    if out.is_empty() { "(no name)".to_owned() } else { out }
}

/// The characters of a text without marks that stand on none, or on one that has [`MAX_MARKS`] already.
pub fn unpiled(raw: &str) -> impl Iterator<Item = char> {
    let mut marks = MAX_MARKS;
    raw.chars().filter(move |c| {
        marks = match c {
            c if is_mark(*c) => marks + 1,
            // What is not shown carries no mark, and hides none.
            c if c.is_control() || invisible(*c) => marks,
            c if c.is_whitespace() => MAX_MARKS,
            _ => 0,
        };
        !is_mark(*c) || marks <= MAX_MARKS
    })
}

/// Whether a character is drawn onto the one before it.
const fn is_mark(c: char) -> bool {
    matches!(c,
        '\u{0300}'..='\u{036F}' | '\u{0483}'..='\u{0489}' | '\u{1AB0}'..='\u{1AFF}' | '\u{1DC0}'..='\u{1DFF}'
        | '\u{20D0}'..='\u{20FF}' | '\u{FE20}'..='\u{FE2F}')
}

/// A text of several sentences, fit to be shown whole: nothing in it moves the cursor, turns the reading direction, hides
/// or covers, and it has no line breaks. Unlike [`display_name`] it is not cut and keeps its quotes.
pub fn harmless(raw: &str) -> String {
    let shown = |word: &str| unpiled(word).filter(|c| !c.is_control() && !invisible(*c)).collect::<String>();
    raw.split_whitespace().map(shown).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Whether a character changes how others are shown, or shows nothing.
pub const fn invisible(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
        | '\u{E000}'..='\u{F8FF}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{10FFFF}')
}

/// The day in UTC, `2026-03-31`.
pub(crate) fn date(instant: Timestamp) -> String {
    instant.to_zoned(TimeZone::UTC).date().to_string()
}

/// Whole days from `from` to `to`; negative when `to` is earlier.
pub(crate) fn whole_days(from: Timestamp, to: Timestamp) -> i64 {
    to.as_second().saturating_sub(from.as_second()).div_euclid(DAY)
}

/// `days` after `from`; none beyond the end of representable time.
pub(crate) fn days_after(from: Timestamp, days: u32) -> Option<Timestamp> {
    Timestamp::new(from.as_second().checked_add(i64::from(days) * DAY)?, from.subsec_nanosecond()).ok()
}

/// `days` before `to`; none before the beginning of representable time.
pub(crate) fn days_before(to: Timestamp, days: u32) -> Option<Timestamp> {
    Timestamp::new(to.as_second().checked_sub(i64::from(days) * DAY)?, to.subsec_nanosecond()).ok()
}

/// `one owner`, `3 owners`.
pub(crate) fn counted(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("one {one}") } else { format!("{count} {many}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_what_could_mislead_a_reader() {
        assert_eq!(display_name("  pay\u{202E}roll\n\tbot\u{0000} "), "payroll bot");
        assert_eq!(display_name("say \"hi\""), "say 'hi'");
        assert_eq!(display_name("\u{200B}\u{FEFF}\n"), "(no name)");
        assert_eq!(display_name("ünïcode 名前"), "ünïcode 名前");
        assert_eq!(display_name("\x1b[31mred"), "[31mred");
        let long = display_name(&"x".repeat(500));
        assert_eq!(long.chars().count(), MAX_NAME_CHARS + 1);
        assert!(long.ends_with('…'));
        assert_eq!(display_name(&"x".repeat(MAX_NAME_CHARS)), "x".repeat(MAX_NAME_CHARS));
    }

    proptest::proptest! {
        /// The short way says what the long one says.
        #[test]
        fn what_is_ordinary_needs_no_cleaning(raw in "[ -~]{0,90}|[a \"]{0,6}|[a \u{301}\u{e9}\t]{0,8}") {
            proptest::prop_assert_eq!(display_name(&raw), cleaned(&raw));
        }
    }

    /// Piled marks cover the lines above and below, an enclosing one the quote before the name.
    #[test]
    fn no_name_covers_what_stands_around_it() {
        let pile = format!("a{}b", "\u{0335}".repeat(60));
        assert_eq!(display_name(&pile), "a\u{0335}\u{0335}\u{0335}b");
        assert_eq!(harmless(&format!("{pile} {pile}")), "a\u{0335}\u{0335}\u{0335}b a\u{0335}\u{0335}\u{0335}b");
        assert_eq!(display_name("\u{20DD}\u{0338}bot"), "bot");
        assert_eq!(display_name("a \u{0338}b"), "a b");
        assert_eq!(display_name(&format!("a{}", "\u{0301}\u{200B}".repeat(9))), "a\u{0301}\u{0301}\u{0301}");
        assert_eq!(display_name("Vie\u{0302}\u{0323}t"), "Vie\u{0302}\u{0323}t");
    }

    #[test]
    fn a_text_is_shown_whole_and_moves_nothing() {
        assert_eq!(harmless("a \"b\"\n\x1b[2J\u{9b}1mc \u{202E}\t d"), "a \"b\" [2J1mc d");
        assert_eq!(harmless(&"x".repeat(500)), "x".repeat(500));
        assert_eq!(harmless("\u{200B}"), "");
    }

    #[test]
    fn dates_are_absolute_and_days_are_whole() {
        let from: Timestamp = "2025-01-01T23:59:59Z".parse().unwrap();
        let to: Timestamp = "2026-01-01T23:59:58Z".parse().unwrap();
        assert_eq!(date(from), "2025-01-01");
        assert_eq!(whole_days(from, to), 364);
        assert_eq!(whole_days(to, from), -365);
        assert_eq!(days_after(from, 365).unwrap().to_string(), "2026-01-01T23:59:59Z");
        assert_eq!(days_after(Timestamp::MAX, 1), None);
        assert_eq!(days_before(to, 365).unwrap().to_string(), "2025-01-01T23:59:58Z");
        assert_eq!(days_before(Timestamp::MIN, 1), None);
    }
}
