//! Text for a terminal: colour only where it is wanted, lines no wider than the terminal, and nothing of somebody else's
//! that moves the cursor. Everything that a command shows is readable without colour. Pure, but for [`Look::of`] and
//! [`width`], which look at the terminal and the environment.

use std::io::IsTerminal as _;

/// Width where there is no terminal that says one.
const USUAL_WIDTH: usize = 100;
/// Narrower than this a line holds too little to be read.
const LEAST_WIDTH: usize = 40;
/// Longer lines than this are hard to follow.
const MOST_WIDTH: usize = 120;

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless the variable `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    colored: bool,
}

/// What a piece of text is, which decides how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Begins a section.
    Heading,
    /// Matters most.
    Alarm,
    /// Matters.
    Warning,
    /// Adds something.
    Quiet,
}

impl Look {
    /// Without colour.
    pub const PLAIN: Self = Self { colored: false };

    /// As asked for. `NO_COLOR` counts when it is not empty, as its convention says.
    pub fn of(color: Color) -> Self {
        let colored = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && std::io::stdout().is_terminal()
            }
        };
        Self { colored }
    }

    /// `text`, which must hold no escapes of its own, in the colour of its role.
    pub fn paint(self, role: Role, text: &str) -> String {
        if !self.colored {
            return text.to_owned();
        }
        let code = match role {
            Role::Heading => "1",
            Role::Alarm => "1;31",
            Role::Warning => "33",
            Role::Quiet => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// Columns to write into: of the terminal, or as the variable `COLUMNS` says.
pub fn width() -> usize {
    let told = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let of_terminal = || {
        rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_col)).filter(|n| *n > 0)
    };
    told.or_else(of_terminal).unwrap_or(USUAL_WIDTH).clamp(LEAST_WIDTH, MOST_WIDTH)
}

/// Adds to `text`.
pub fn add(text: &mut String, more: &str) {
    text.push_str(more);
}

/// `text` made harmless, as lines of at most `width` columns: the first begins with `first`, the others with `rest`.
/// A word that is longer than a line is broken: nothing is left out.
pub fn wrapped(text: &str, first: &str, rest: &str, width: usize) -> String {
    let room = |indent: &str| width.saturating_sub(indent.chars().count()).max(LEAST_WIDTH / 2);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in sv0_rules::harmless(text).split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        loop {
            let most = room(if lines.is_empty() { first } else { rest });
            let gap = usize::from(used > 0);
            if used + gap + word.len() <= most {
                line.extend((gap > 0).then_some(' '));
                line.extend(&word);
                used += gap + word.len();
                break;
            }
            if used == 0 {
                let tail = word.split_off(most.min(word.len()));
                line.extend(&word);
                word = tail;
            }
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
    }
    lines.push(line);
    let mut lines = lines.iter();
    let head = lines.next().map(|line| format!("{first}{line}\n"));
    head.into_iter().chain(lines.map(|line| format!("{rest}{line}\n"))).collect()
}

/// `text` made harmless and no longer than `most` characters; a longer one ends in `…`.
pub fn cut(text: &str, most: usize) -> String {
    let text = sv0_rules::harmless(text);
    if text.chars().count() <= most {
        return text;
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Rows below their headings, in columns that are as wide as needed, two spaces apart. The last one is not filled up.
pub fn columns(headings: &[&str], rows: &[Vec<String>]) -> String {
    let headings: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
    let all = || std::iter::once(&headings).chain(rows);
    let widest = |at: usize| all().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..headings.len()).map(widest).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    all().map(line).collect()
}

/// JSON with every character that a terminal could act on, or that hides, written as an escape. The value is the same.
pub fn inert_json(json: &str) -> String {
    inert(json, |c| {
        let mut units = [0; 2];
        c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>().concat()
    })
}

/// The same for JSON that is to be read as YAML, which knows no pairs of escapes for one character.
pub fn inert_yaml(json: &str) -> String {
    inert(json, |c| format!("\\U{:08x}", u32::from(c)))
}

fn inert(json: &str, escape: impl Fn(char) -> String) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        let plain = c == '\n' || c == ' ';
        if plain || !(c.is_control() || c.is_whitespace() || sv0_rules::invisible(c)) {
            out.push(c);
        } else {
            out.push_str(&escape(c));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_before_the_edge_and_nothing_is_lost() {
        let text = "one two three four five six seven eight nine ten eleven twelve";
        let lines = wrapped(text, "- ", "  ", 40);
        assert_eq!(
            lines,
            "- one two three four five six seven eight\n  nine ten eleven twelve\n".replace(" eight\n ", "\n  eight")
        );
        assert!(lines.lines().all(|line| line.chars().count() <= 40));
        let long = wrapped(&format!("a {} b", "x".repeat(100)), "", "  ", 40);
        assert!(long.lines().all(|line| line.chars().count() <= 40), "{long}");
        assert_eq!(long.matches('x').count(), 100);
        assert_eq!(wrapped("", "- ", "  ", 40), "- \n");
    }

    #[test]
    fn escapes_of_others_stay_out() {
        assert_eq!(wrapped("a\u{1b}[2J\nb\u{202e}", "", "", 80), "a[2J b\n");
        assert_eq!(cut("\u{9b}31mabcdef", 4), "31m…");
        assert_eq!(cut("abcd", 4), "abcd");
    }

    #[test]
    fn json_keeps_its_value_and_moves_nothing() {
        let value = serde_json::json!({"a": "\u{1b}[2J\u{9b}\u{202e}\u{e0041}\u{7f}é 名"});
        let json = inert_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!json.chars().any(|c| c == '\u{9b}' || c == '\u{202e}' || c == '\u{e0041}' || c == '\u{7f}'));
        assert!(json.contains("é 名"));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), value);
    }

    #[test]
    fn columns_line_up() {
        let rows = vec![
            vec!["a".to_owned(), "long".to_owned(), "x".to_owned()],
            vec!["abc".to_owned(), "b".to_owned(), String::new()],
        ];
        assert_eq!(columns(&["A", "B", "C"], &rows), "A    B     C\na    long  x\nabc  b\n");
    }

    #[test]
    fn plain_is_plain() {
        assert_eq!(Look::PLAIN.paint(Role::Alarm, "x"), "x");
        assert_eq!(Look { colored: true }.paint(Role::Alarm, "x"), "\u{1b}[1;31mx\u{1b}[0m");
    }
}
