//! Words for people: vendor strings made harmless, absolute dates. Vendor strings are hostile until they went through
//! [`display_name`].

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Most characters of a vendor's name in our sentences.
pub(crate) const MAX_NAME_CHARS: usize = 80;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// A vendor's text, fit to stand in a sentence: no control, bidirectional or invisible characters, no line breaks, no
/// double quotes, single spaces, at most 80 characters.
pub fn display_name(raw: &str) -> String {
    let mut out = String::new();
    let mut space = false;
    let mut count = 0;
    for c in raw.chars() {
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

/// A text of several sentences, fit to be shown whole: nothing in it moves the cursor, turns the reading direction or
/// hides, and it has no line breaks. Unlike [`display_name`] it is not cut and keeps its quotes.
pub fn harmless(raw: &str) -> String {
    let shown = |word: &str| word.chars().filter(|c| !c.is_control() && !invisible(*c)).collect::<String>();
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
