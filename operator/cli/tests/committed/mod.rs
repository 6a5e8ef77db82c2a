//! Texts that are committed, so that somebody looks at what changes.

use std::path::Path;

/// The text must be the committed one, in `tests/PLACE`: `UPDATE_GOLDEN=1` writes it.
pub(crate) fn committed(place: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(place);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    if text == committed {
        return;
    }
    let same = std::iter::zip(text.lines(), committed.lines()).take_while(|(a, b)| a == b).count();
    let from = |text: &str| text.lines().skip(same).take(8).collect::<Vec<_>>().join("\n");
    panic!(
        "{} differs from line {} on: look at what changed; UPDATE_GOLDEN=1 writes it\n--- committed\n{}\n--- now\n{}",
        path.display(),
        same + 1,
        from(&committed),
        from(text),
    );
}
