//! Configuration files of `e2e/cluster/config`, whose `@NAME@` places are filled in.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::context::Context;

/// The configuration directory and the values for its places.
#[derive(Debug)]
pub(super) struct Templates {
    dir: PathBuf,
    values: Vec<(&'static str, String)>,
}

impl Templates {
    pub(super) fn new(ctx: &Context, values: Vec<(&'static str, String)>) -> Self {
        Self { dir: ctx.root.join("e2e/cluster/config"), values }
    }

    /// The file `name` with every place filled in.
    pub(super) fn read(&self, name: &str) -> Result<String> {
        let path = self.dir.join(name);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        fill(&text, &self.values).with_context(|| format!("cannot fill in {}", path.display()))
    }

    /// Writes the filled-in file `name` into `dir` and gives its path.
    pub(super) fn write(&self, name: &str, dir: &Path) -> Result<PathBuf> {
        let path = dir.join(name);
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        fs::write(&path, self.read(name)?).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

fn fill(text: &str, values: &[(&str, String)]) -> Result<String> {
    let mut filled = text.to_owned();
    for (name, value) in values {
        filled = filled.replace(&format!("@{name}@"), value);
    }
    let is_place = |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    if let Some(place) = filled.split('@').skip(1).find(is_place) {
        bail!("there is no value for @{place}@");
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn every_place_is_filled_or_named() {
        let values = [("A", "1".to_owned()), ("B_C", "2".to_owned())];
        assert_eq!(fill("x@A@y@B_C@ @A@", &values).unwrap(), "x1y2 1");
        assert!(fill("@A@ @D@", &values).unwrap_err().to_string().contains("@D@"));
        assert_eq!(fill("someone@example.com", &values).unwrap(), "someone@example.com");
    }
}
