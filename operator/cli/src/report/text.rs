//! Text of source systems, made harmless before it stands in a page, a file or a picture. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Most characters of one text in a page: longer than any field of a Finding.
pub const MAX_TEXT: usize = 480;
const ELLIPSIS: char = '…';

/// The text without characters that control, turn around or hide others, in one line, at most [`MAX_TEXT`] characters.
/// Markup is not escaped here: the page does that for all text.
pub fn clean(text: &str) -> String {
    clean_to(text, MAX_TEXT)
}

/// The same with another limit.
pub fn clean_to(text: &str, most: usize) -> String {
    let mut out = String::new();
    let mut count = 0;
    let mut space = false;
    for c in sv0_rules::unpiled(text) {
        if c.is_whitespace() {
            space = count > 0;
            continue;
        }
        if c.is_control() || sv0_rules::invisible(c) {
            continue;
        }
        if count + usize::from(space) >= most {
            out.push(ELLIPSIS);
            break;
        }
        if space {
            out.push(' ');
            count += 1;
            space = false;
        }
        out.push(c);
        count += 1;
    }
    out
}

/// `2026-11-30 10:19 UTC`.
pub fn minute(instant: Timestamp) -> String {
    let text = instant.to_string();
    let day = text.get(..10).unwrap_or(&text);
    text.get(11..16).map_or_else(|| day.to_owned(), |minute| format!("{day} {minute} UTC"))
}

/// `2026-11-30`.
pub fn day(time: &Time) -> String {
    time.0.to_string().chars().take(10).collect()
}

/// `1 finding`, `3 findings`.
pub fn counted(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// `a`, `a and b`, `a, b and c`.
pub fn listed(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [only] => only.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// How wide the text is, in columns of a plain font: letters of East Asian scripts take two.
pub fn columns(text: &str) -> usize {
    text.chars().map(|c| if c >= '\u{1100}' { 2 } else { 1 }).sum()
}

/// The text in at most `most` lines of at most `width` columns; what is left out is shown by an ellipsis.
pub fn wrapped(text: &str, width: usize, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut rest = word;
        loop {
            let line = lines.last_mut().map(|line| (columns(line), line));
            let Some((used, line)) = line else { break };
            let gap = usize::from(used > 0);
            if used + gap + columns(rest) <= width {
                if gap == 1 {
                    line.push(' ');
                }
                line.push_str(rest);
                break;
            }
            // A word that fits into a line of its own goes there; a longer one is broken.
            if used > 0 {
                lines.push(String::new());
                continue;
            }
            let at = break_at(rest, width);
            let (head, tail) = rest.split_at(at);
            line.push_str(head);
            rest = tail;
            lines.push(String::new());
        }
    }
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            while columns(last) >= width && last.pop().is_some() {}
            last.push(ELLIPSIS);
        }
    }
    lines
}

/// Where a word that is too long is broken: behind the last mark that fits, else where the line ends.
fn break_at(word: &str, width: usize) -> usize {
    let mut used = 0;
    let mut end = 0;
    let mut mark = None;
    for (at, c) in word.char_indices() {
        used += columns(c.encode_utf8(&mut [0; 4]));
        if used > width && at > 0 {
            break;
        }
        end = at + c.len_utf8();
        if matches!(c, '.' | '-' | '_' | '/' | ':' | '@') {
            mark = Some(end);
        }
    }
    mark.filter(|mark| *mark < word.len()).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("pay\u{202E}roll\n\tbot\u{0000} ", "payroll bot")]
    #[case("say \"<b>hi</b>\"", "say \"<b>hi</b>\"")]
    #[case("\u{200B}\u{FEFF}", "")]
    #[case("\u{1b}[31mred", "[31mred")]
    fn nothing_hidden_stays(#[case] raw: &str, #[case] shown: &str) {
        assert_eq!(clean(raw), shown);
    }

    #[test]
    fn a_long_text_ends() {
        assert_eq!(clean(&"x".repeat(10_000)).chars().count(), MAX_TEXT + 1);
        assert_eq!(clean_to(&"é".repeat(7), 7), "é".repeat(7));
    }

    #[rstest]
    #[case("one two three", 7, 3, &["one two", "three"])]
    #[case("User.ReadWrite.All", 15, 3, &["User.ReadWrite.", "All"])]
    #[case("aaaaaaaaaa", 4, 2, &["aaaa", "aaa…"])]
    #[case("名前名前", 4, 3, &["名前", "名前"])]
    #[case("", 4, 3, &[""])]
    fn lines_are_as_wide_as_told(
        #[case] text: &str,
        #[case] width: usize,
        #[case] most: usize,
        #[case] lines: &[&str],
    ) {
        assert_eq!(wrapped(text, width, most), lines);
    }

    #[test]
    fn counts_and_lists_read_as_sentences() {
        assert_eq!(counted(1, "finding"), "1 finding");
        assert_eq!(counted(0, "finding"), "0 findings");
        assert_eq!(listed(&["a".into(), "b".into(), "c".into()]), "a, b and c");
    }
}
