//! Vendor strings are hostile: what may be kept of them, and in which form. Pure.

use jiff::Timestamp;

/// Longest list within a text that is read, in bytes.
const MAX_LISTED: usize = 64 * 1024;

/// Longest display text that is kept, in characters.
pub const MAX_TEXT: usize = 256;

/// Text fit to be kept: control and bidirectional formatting characters dropped, blanks trimmed, cut at
/// [`MAX_TEXT`] characters. `None` when nothing remains.
pub fn display(text: &str) -> Option<String> {
    let kept: String = text.chars().filter(|c| !is_unsafe(*c)).take(MAX_TEXT).collect();
    let kept = kept.trim();
    (!kept.is_empty()).then(|| kept.to_owned())
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{2069}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

/// An identifier in the canonical form of a GUID (lower case), or nothing.
pub fn guid(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let shape = bytes.len() == 36
        && bytes.iter().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => *b == b'-',
            _ => b.is_ascii_hexdigit(),
        });
    shape.then(|| text.to_ascii_lowercase())
}

/// Text that is compared and so must stay as it is: kept whole, or not at all when it is longer than `most` bytes or
/// holds control characters.
pub fn exact(text: &str, most: usize) -> Option<String> {
    let fits = !text.is_empty() && text.len() <= most && !text.chars().any(is_unsafe);
    fits.then(|| text.to_owned())
}

/// The texts of a list that a vendor writes as JSON within a text. `None` when it is no such list, or longer than 64 KiB.
pub fn listed(text: &str) -> Option<Vec<String>> {
    let text = text.trim();
    (text.len() <= MAX_LISTED).then(|| serde_json::from_str(text).ok())?
}

/// A vendor's opaque identifier: 1 to 128 characters that need no escaping anywhere.
pub fn opaque_id(text: &str) -> Option<&str> {
    let fits = (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~'))
        && text.bytes().any(|b| b != b'.');
    fits.then_some(text)
}

/// An instant in the one form that rows carry. `None` when it is not RFC 3339, but for an offset whose hours lack
/// their leading zero (`-8:00`), as some vendors' reports write it.
pub fn instant(text: &str) -> Option<Timestamp> {
    if text.len() > 40 {
        return None;
    }
    text.parse().ok().or_else(|| {
        let (before, minutes) = text.rsplit_once(':')?;
        let sign = before.rfind(['+', '-']).filter(|sign| before[..*sign].contains('T'))?;
        let (local, offset) = before.split_at(sign);
        let short = offset.len() == 2 && offset.as_bytes()[1].is_ascii_digit();
        short.then(|| format!("{local}{}0{}:{minutes}", &offset[..1], &offset[1..]).parse().ok())?
    })
}

/// The 16 bytes of a GUID as a number: where very many are held, the text would cost four times as much.
pub fn guid_bits(text: &str) -> Option<u128> {
    u128::from_str_radix(&guid(text)?.replace('-', ""), 16).ok()
}

/// The canonical text of a GUID that is held as a number.
pub fn guid_of(bits: u128) -> String {
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_text_loses_control_and_direction_characters_and_length() {
        assert_eq!(display(" a\u{202E}b\n\u{7}c ").as_deref(), Some("abc"));
        assert_eq!(display(&"x".repeat(10_000)).map(|t| t.len()), Some(MAX_TEXT));
        assert_eq!(display("\u{200B} \n\u{2028}\u{61C}\u{E0041}"), None);
    }

    #[test]
    fn compared_text_is_whole_or_absent() {
        assert_eq!(exact("repo:a/b:ref", 20).as_deref(), Some("repo:a/b:ref"));
        for bad in ["", "a\nb", "aaaaaaaaaaaaaaaaaaaaaaaaa"] {
            assert_eq!(exact(bad, 20), None);
        }
    }

    #[test]
    fn guids_are_lower_cased_and_everything_else_is_refused() {
        assert_eq!(
            guid("9A5D68DD-52B0-4CC2-BD40-ABCF44AC3A30").as_deref(),
            Some("9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30")
        );
        for bad in ["", "9a5d68dd", "9a5d68dd-52b0-4cc2-bd40-abcf44ac3a3g", "../../../../../../../../../../etc/pw"] {
            assert_eq!(guid(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_list_within_a_text_is_a_list_of_texts() {
        assert_eq!(listed(r#" ["a", "b"] "#), Some(vec!["a".to_owned(), "b".to_owned()]));
        for bad in ["", "a", "{}", "[1]", "[\"a\"", &format!("[\"{}\"]", "a".repeat(MAX_LISTED))] {
            assert_eq!(listed(bad), None);
        }
    }

    #[test]
    fn opaque_ids_cannot_leave_their_path_segment() {
        assert!(opaque_id("41W1zT6z1U-kJxf62svfp1HFE8pMZhxDun-ThPczmJE").is_some());
        for bad in ["", "..", "a/b", "a%2fb", "a?b", "a b"] {
            assert_eq!(opaque_id(bad), None, "{bad}");
        }
    }

    #[test]
    fn instants_keep_the_vendors_seven_fractional_digits() {
        assert_eq!(
            instant("2019-09-17T19:10:35.2742618Z").map(|t| t.to_string()).as_deref(),
            Some("2019-09-17T19:10:35.2742618Z")
        );
        assert_eq!(instant("2299-12-30T12:00:00Z").map(|t| t.to_string()).as_deref(), Some("2299-12-30T12:00:00Z"));
        assert_eq!(instant("yesterday"), None);
    }

    #[test]
    fn an_offset_without_its_leading_zero_is_read() {
        let read = |text: &str| instant(text).map(|at| at.to_string());
        assert_eq!(read("2021-03-01T00:00:00-8:00").as_deref(), Some("2021-03-01T08:00:00Z"));
        assert_eq!(read("2021-03-01T00:00:00.5+5:30").as_deref(), Some("2021-02-28T18:30:00.5Z"));
        assert_eq!(read("2021-03-01T00:00:00-08:00").as_deref(), Some("2021-03-01T08:00:00Z"));
        for bad in ["2021-03-01T00:00:00-x:00", "2021-03-01-8:00", "T-8:00", "-8:00", ":", "2021-03-01T00:00:00-8:0"] {
            assert_eq!(instant(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_guid_is_a_number() {
        assert_eq!(guid_bits("00000003-0000-0000-C000-0000000000FF"), Some(0x3_0000_0000_c000_0000_0000_00ff));
        assert_eq!(guid_of(0x3_0000_0000_c000_0000_0000_00ff), "00000003-0000-0000-c000-0000000000ff");
        assert_eq!(guid_bits("+0000003-0000-0000-c000-0000000000ff"), None);
    }
}
