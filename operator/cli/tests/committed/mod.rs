//! Texts that are committed, so that somebody looks at what changes.

use std::path::Path;

/// The text must be the committed one, in `tests/PLACE`: `UPDATE_GOLDEN=1` writes it.
pub(crate) fn committed(place: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(place);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let place = std::iter::zip(text.lines(), committed.lines()).position(|(a, b)| a != b);
    let line = place.map_or_else(|| "the end".to_owned(), |at| format!("line {}", at + 1));
    let about = "look at what changed; UPDATE_GOLDEN=1 writes it";
    assert!(text == committed, "{} differs from {line} on: {about}\n{text}", path.display());
}
