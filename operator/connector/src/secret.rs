//! Text that must not be seen: cannot be printed, compared, copied or serialised, and is wiped when dropped.

use zeroize::Zeroizing;

/// A secret. There is deliberately no `Debug`, `Display`, `Clone`, `PartialEq` or `Serialize`:
///
/// ```compile_fail
/// let s = sv0_connector::Secret::new("x".to_owned());
/// println!("{s:?}");
/// ```
/// ```compile_fail
/// let s = sv0_connector::Secret::new("x".to_owned());
/// println!("{s}");
/// ```
/// ```compile_fail
/// let s = sv0_connector::Secret::new("x".to_owned());
/// serde_json::to_string(&s);
/// ```
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes ownership of the text.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
