//! Values that a person types and that end up in files, scripts and addresses. Each has a type of its own that
//! accepts its form and nothing else; the quoting for scripts is the second wall. Pure.

use std::fmt;
use std::str::FromStr;

/// Why a typed value is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Rejected(&'static str);

macro_rules! value {
    ($(#[doc = $doc:literal])* $name:ident, $why:literal, $accepts:expr) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Rejected;

            fn from_str(text: &str) -> Result<Self, Rejected> {
                let accepts: fn(&str) -> bool = $accepts;
                if accepts(text) { Ok(Self(text.to_owned())) } else { Err(Rejected($why)) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

value!(
    /// A tenant or application id.
    Guid,
    "must be a GUID in lower case like 00000000-0000-0000-0000-000000000000, not a domain name",
    is_guid
);
value!(
    /// The UID of an object of the cluster.
    Uid,
    "must be the UID of an object, a GUID in lower case: metadata.uid, not its name",
    is_guid
);
value!(
    /// A namespace.
    Namespace,
    "must be the name of a namespace: at most 63 lower-case letters, digits and '-'",
    |text| is_label(text, 63)
);
value!(
    /// The name of a `ConnectorInstance`.
    InstanceName,
    "must be at most 40 lower-case letters, digits and '-', beginning and ending with a letter or digit",
    |text| is_label(text, 40)
);
value!(
    /// A `ServiceAccount` made for scans.
    AccountName,
    "must be the name of a ServiceAccount other than 'default': lower-case letters, digits, '-' and '.'",
    |text| text != "default" && text.len() <= 253 && text.split('.').all(|label| is_label(label, 253))
);
value!(
    /// The name of an object of the cluster, such as a Finding. It never begins with '-', so that it is no flag of kubectl.
    ObjectName,
    "must be the name of an object: at most 253 lower-case letters, digits, '-' and '.'",
    |text| text.len() <= 253 && text.split('.').all(|label| is_label(label, 253))
);
value!(
    /// The name of an application, as people see it in Entra.
    DisplayName,
    "must be 1 to 90 characters without control characters",
    |text| (1..=90).contains(&text.chars().count()) && text.trim() == text && !text.chars().any(char::is_control)
);

fn is_guid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    lengths && text.bytes().all(|b| b == b'-' || b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn is_label(text: &str, longest: usize) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = text.as_bytes();
    bytes.len() <= longest
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}

/// One word of a POSIX shell, whatever is in it.
pub fn sh_quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A string of Bicep, whatever is in it.
pub fn bicep_quote(text: &str) -> String {
    let mut quoted = String::from("'");
    for c in text.chars() {
        match c {
            '\\' => quoted.push_str(r"\\"),
            '\'' => quoted.push_str(r"\'"),
            '$' => quoted.push_str(r"\$"),
            '\n' => quoted.push_str(r"\n"),
            '\r' => quoted.push_str(r"\r"),
            '\t' => quoted.push_str(r"\t"),
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

/// Most words of somebody else's text that are shown.
const MAX_WORDS: usize = 60;

/// Text of somebody else, for a terminal: nothing in it can move the cursor or change what stands around it.
pub fn shown(text: &str) -> String {
    let words: Vec<String> = text.split_whitespace().take(MAX_WORDS).map(sv0_rules::display_name).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0f2b1c9e-5a77-4f8e-9d3c-0123456789ab", true)]
    #[case("0F2B1C9E-5A77-4F8E-9D3C-0123456789AB", false)]
    #[case("contoso.onmicrosoft.com", false)]
    #[case("0f2b1c9e-5a77-4f8e-9d3c-0123456789ab\n", false)]
    #[case("0f2b1c9e5a774f8e9d3c0123456789ab", false)]
    #[case("--------", false)]
    #[case("", false)]
    fn guids(#[case] text: &str, #[case] accepted: bool) {
        assert_eq!(text.parse::<Guid>().is_ok(), accepted);
    }

    #[rstest]
    #[case("team-a", true)]
    #[case("-o", false)]
    #[case("team_a", false)]
    #[case("a/../b", false)]
    #[case("a: b", false)]
    #[case("a\nb", false)]
    #[case("", false)]
    fn namespaces(#[case] text: &str, #[case] accepted: bool) {
        assert_eq!(text.parse::<Namespace>().is_ok(), accepted);
    }

    #[rstest]
    #[case("scan-entra", true)]
    #[case("scan.entra", true)]
    #[case("default", false)]
    #[case("a..b", false)]
    #[case("a:b", false)]
    fn accounts(#[case] text: &str, #[case] accepted: bool) {
        assert_eq!(text.parse::<AccountName>().is_ok(), accepted);
    }

    #[rstest]
    #[case("cred-002-0123456789abcdef", true)]
    #[case("a.b", true)]
    #[case("--server=https://evil.example", false)]
    #[case("a b", false)]
    #[case("", false)]
    fn objects(#[case] text: &str, #[case] accepted: bool) {
        assert_eq!(text.parse::<ObjectName>().is_ok(), accepted);
    }

    #[rstest]
    #[case("it's $(id) `id` \"x\" \\ ${x} !")]
    #[case("-n")]
    #[case("ümlaut 名")]
    fn a_shell_sees_one_word(#[case] text: &str) {
        let script = format!("printf %s {}", sh_quote(text));
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
    }

    #[test]
    fn a_terminal_is_not_moved() {
        assert_eq!(shown("fine \u{1b}[2Jtext\nof\u{202e} others"), "fine [2Jtext of others");
    }

    #[rstest]
    #[case("a'b", r"'a\'b'")]
    #[case("${subscription().id}", r"'\${subscription().id}'")]
    #[case(r"a\", r"'a\\'")]
    #[case("a\nb", r"'a\nb'")]
    fn bicep_sees_one_string(#[case] text: &str, #[case] quoted: &str) {
        assert_eq!(bicep_quote(text), quoted);
    }
}
