//! What has no place in the repository: paths of somebody's machine, hosts of package registries, and a
//! dependency that comes from anywhere but crates.io.

use std::path::Path;

use anyhow::Result;

use super::repository_files;
use crate::context::Context;

/// Beginnings of paths that exist on one machine only. Written in two parts, so that this file passes its own check.
const MACHINE_PATHS: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

/// Hosts that a package manager's own configuration names, and nothing else should.
const REGISTRIES: [&str; 7] = [
    concat!("index.crates", ".io"),
    concat!("static.crates", ".io"),
    concat!("proxy.golang", ".org"),
    concat!("sum.golang", ".org"),
    concat!("registry.npmjs", ".org"),
    concat!("files.pythonhosted", ".org"),
    concat!("pypi", ".org"),
];

/// Where every dependency comes from.
const CRATES_IO: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";

/// Violations in every text file of the repository.
pub(super) fn violations(ctx: &Context) -> Result<Vec<String>> {
    Ok(repository_files(ctx)?.iter().flat_map(|(path, text)| of_file(path, text)).collect())
}

fn of_file(path: &Path, text: &str) -> Vec<String> {
    let lock = path.file_name().is_some_and(|name| name == "Cargo.lock");
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let place = format!("{}:{}", path.display(), index + 1);
        if let Some(start) = MACHINE_PATHS.iter().find(|start| begins_a_path(line, start)) {
            found.push(format!("{place}: a path of one machine ({start}...): make it relative or configurable"));
        }
        if let Some(host) = REGISTRIES.iter().find(|host| line.contains(*host)) {
            found
                .push(format!("{place}: names the registry {host}: leave that to the package manager's configuration"));
        }
        if lock && line.starts_with("source = ") && line != CRATES_IO {
            found.push(format!("{place}: a dependency that does not come from crates.io"));
        }
    }
    found
}

/// Whether `start` occurs in the line as the beginning of a path, not in its middle.
fn begins_a_path(line: &str, start: &str) -> bool {
    let in_the_middle = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '}' | ')' | '*' | '~');
    line.match_indices(start).any(|(at, _)| !line[..at].ends_with(in_the_middle))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        of_file(Path::new(path), text)
    }

    #[test]
    fn machine_paths_are_found_where_they_begin() {
        for start in MACHINE_PATHS {
            assert_eq!(found("a.md", &format!("see `{start}x/y`\n")).len(), 1, "{start}");
            assert_eq!(found("a.md", &format!("{start}x\n")).len(), 1, "{start}");
            assert!(found("a.md", &format!("https://example.com{start}x ./a{start}b\n")).is_empty(), "{start}");
        }
    }

    #[test]
    fn registries_are_found() {
        for host in REGISTRIES {
            assert_eq!(found("a.rs", &format!("//! https://{host}/x\n")).len(), 1, "{host}");
        }
    }

    #[test]
    fn foreign_sources_are_found_in_the_lock_file_only() {
        let line = "source = \"git+https://example.com/x\"\n";
        assert_eq!(found("Cargo.lock", line).len(), 1);
        assert!(found("a.toml", line).is_empty());
        assert!(found("Cargo.lock", &format!("{CRATES_IO}\n")).is_empty());
    }
}
