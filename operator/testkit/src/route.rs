//! Which operation of a manifest a request is. Takes a request's path and query; gives the operation and the values of
//! its slots, or nothing: then the manifest does not list it.

use std::collections::BTreeMap;

use sv0_connector::{Manifest, Operation};
use url::form_urlencoded;

/// The values of an operation's slots.
pub(crate) type Slots = BTreeMap<String, String>;

/// The operation that `path` (with the API's version) and `query` ask for.
pub(crate) fn find<'a>(manifest: &'a Manifest, path: &str, query: &str) -> Option<(&'a Operation, Slots)> {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    manifest.operations.iter().find_map(|operation| {
        let template = format!("/{}{}", manifest.version_of(operation), operation.path);
        let mut slots = Slots::new();
        matches(&template, path, &mut slots)?;
        if pairs.len() != operation.query.len() {
            return None;
        }
        for (key, value) in &pairs {
            matches(operation.query.get(key)?, value, &mut slots)?;
        }
        Some((operation, slots))
    })
}

/// Compares text with a template and takes the values of its slots. A slot in a path holds no slash.
fn matches(template: &str, text: &str, slots: &mut Slots) -> Option<()> {
    let Some((before, rest)) = template.split_once('{') else { return (template == text).then_some(()) };
    let (slot, after) = rest.split_once('}')?;
    let text = text.strip_prefix(before)?;
    // One slot in each segment: what follows it begins with what the template says next.
    let end = after.split('{').next().unwrap_or_default();
    let at = if end.is_empty() { text.len() } else { text.find(end)? };
    let value = &text[..at];
    if value.is_empty() || value.contains('/') {
        return None;
    }
    slots.insert(slot.to_owned(), value.to_owned());
    matches(after, &text[at..], slots)
}

/// The identifiers of a quoted list.
pub(crate) fn ids(list: &str) -> Vec<String> {
    list.split(',').map(|id| id.trim().trim_matches('\'').to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_found_and_other_paths_are_not() {
        let slots = |template: &str, text: &str| {
            let mut slots = Slots::new();
            matches(template, text, &mut slots).map(|()| slots.into_iter().collect::<Vec<_>>())
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(slots("/v1/things/{id}/parts", "/v1/things/7/parts"), Some(vec![pair("id", "7")]));
        assert_eq!(slots("/v1/things(key='{key}')", "/v1/things(key='7')"), Some(vec![pair("key", "7")]));
        assert_eq!(slots("id in ({ids})", "id in ('a','b')"), Some(vec![pair("ids", "'a','b'")]));
        assert_eq!(slots("/v1/things/{id}", "/v1/things/7/parts"), None);
        assert_eq!(slots("/v1/things", "/v1/others"), None);
        assert_eq!(ids("'a','b'"), ["a", "b"]);
    }
}
