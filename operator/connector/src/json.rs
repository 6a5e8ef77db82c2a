//! Bounds on JSON before it is read, and lists in which one broken item does not spoil the others. Pure.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use crate::Cause;

/// Deepest nesting that is read.
pub(crate) const MAX_DEPTH: usize = 32;
/// Longest string that is read, in bytes.
pub(crate) const MAX_STRING: usize = 256 * 1024;

/// Most values in one answer. A list of `{}` costs three bytes each on the wire and hundreds in memory: without this,
/// an answer within its bytes could still take all the memory that a scan has.
pub(crate) const MAX_VALUES: usize = 1_000_000;

/// Walks over the bytes once, without allocating, and refuses what is nested too deeply, holds too long a string or too
/// many values. Says nothing about validity: the parser does.
pub fn check_shape(bytes: &[u8]) -> Result<(), Cause> {
    let (mut depth, mut values) = (0_usize, 1_usize);
    let mut string_start = None;
    let mut escaped = false;
    for (at, byte) in bytes.iter().enumerate() {
        if let Some(start) = string_start {
            if at - start > MAX_STRING {
                return Err(Cause::ResponseRefused);
            }
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => string_start = None,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => string_start = Some(at),
            b'{' | b'[' => {
                depth += 1;
                values += 1;
            }
            b',' => values += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH || values > MAX_VALUES {
            return Err(Cause::ResponseRefused);
        }
    }
    Ok(())
}

/// An item of a list: readable, or not. An unreadable one makes its collection partial and nothing more.
#[derive(Debug)]
pub enum Lenient<T> {
    /// Read.
    Item(T),
    /// Not of the documented form.
    Broken,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either<T> {
            Item(T),
            #[allow(dead_code)] // consumes what is there
            Broken(IgnoredAny),
        }
        Ok(match Either::deserialize(deserializer)? {
            Either::Item(item) => Self::Item(item),
            Either::Broken(_) => Self::Broken,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_nesting_and_long_strings_are_refused() {
        let deep = "[".repeat(MAX_DEPTH + 1);
        assert_eq!(check_shape(deep.as_bytes()), Err(Cause::ResponseRefused));
        let long = format!("\"{}\"", "a".repeat(MAX_STRING + 1));
        assert_eq!(check_shape(long.as_bytes()), Err(Cause::ResponseRefused));
        assert_eq!(check_shape("[".repeat(MAX_DEPTH).as_bytes()), Ok(()));
    }

    #[test]
    fn a_small_answer_of_very_many_values_is_refused() {
        let list = |item: &str, n: usize| format!("[{}]", vec![item; n].join(","));
        assert_eq!(check_shape(list("0", MAX_VALUES / 2).as_bytes()), Ok(()));
        assert_eq!(check_shape(list("0", MAX_VALUES + 1).as_bytes()), Err(Cause::ResponseRefused));
        assert_eq!(check_shape(list("{}", MAX_VALUES / 2 + 1).as_bytes()), Err(Cause::ResponseRefused));
        let text = format!("\"{}\"", ",".repeat(MAX_STRING / 2));
        assert_eq!(check_shape(list(&text, 9).as_bytes()), Ok(()), "commas inside strings do not count");
    }

    #[test]
    fn brackets_and_escaped_quotes_inside_strings_do_not_count() {
        let text = format!(r#"{{"a":"{}\"{}"}}"#, "[".repeat(100), "{".repeat(100));
        assert_eq!(check_shape(text.as_bytes()), Ok(()));
    }

    #[test]
    fn one_broken_item_leaves_the_others() {
        #[derive(Debug, Deserialize)]
        struct Thing {
            id: String,
        }
        let read: Vec<Lenient<Thing>> = serde_json::from_str(r#"[{"id":"a"},{"id":7},[],{"id":"b","x":1}]"#).unwrap();
        let ids: Vec<_> =
            read.iter().map(|item| if let Lenient::Item(t) = item { t.id.as_str() } else { "-" }).collect();
        assert_eq!(ids, ["a", "-", "-", "b"]);
    }
}
