//! Sizes that keep the code readable, and the comment at the head of each module. The size of a function is
//! checked by clippy (`too-many-lines-threshold`); here is what clippy does not know.

use std::path::Path;

use anyhow::Result;

use super::{is_rust, repository_files};
use crate::context::Context;

/// Lines of a file without its tests.
const MAX_FILE: usize = 600;
/// Lines of a function whose name begins with `reconcile`.
const MAX_RECONCILE: usize = 40;

/// Violations in every Rust file of the repository.
pub(super) fn violations(ctx: &Context) -> Result<Vec<String>> {
    let files = repository_files(ctx)?;
    Ok(files.iter().filter(|(path, _)| is_rust(path)).flat_map(|(path, text)| of_file(path, text)).collect())
}

fn of_file(path: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let name = path.display();
    if !text.starts_with("//!") {
        found.push(format!("{name}: begin with `//!` and say what the module takes, gives and may not do"));
    }
    if is_test(path) {
        return found;
    }
    let code = without_tests(text);
    let lines = code.lines().count();
    if lines > MAX_FILE {
        found.push(format!("{name}: {lines} lines without tests; split it, {MAX_FILE} is the limit"));
    }
    for (line, length) in reconcilers(&code) {
        if length > MAX_RECONCILE {
            found.push(format!("{name}:{line}: reconcile has {length} lines; {MAX_RECONCILE} is the limit"));
        }
    }
    found
}

/// Whether the whole file is test code.
fn is_test(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.components().any(|part| part.as_os_str() == "tests") || stem == "tests" || stem.ends_with("_tests")
}

/// The text without its modules of tests: from `#[cfg(test)]` to the brace that closes the module, at the left
/// margin as rustfmt writes it.
fn without_tests(text: &str) -> String {
    let mut code = String::new();
    let mut in_tests = false;
    for line in text.lines() {
        in_tests |= line == "#[cfg(test)]";
        if !in_tests {
            code.push_str(line);
            code.push('\n');
        }
        // A module of tests in a file of its own ends with its declaration.
        in_tests &= line != "}" && !(line.starts_with("mod ") && line.ends_with(';'));
    }
    code
}

/// Line and length of each function whose name begins with `reconcile`.
fn reconcilers(code: &str) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let starts = lines.iter().enumerate().filter(|(_, line)| line.contains("fn reconcile"));
    starts
        .map(|(start, line)| {
            let indent = line.len() - line.trim_start().len();
            let end = format!("{}}}", " ".repeat(indent));
            let length = lines[start..].iter().position(|line| *line == end).map_or(1, |offset| offset + 1);
            (start + 1, length)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        of_file(Path::new(path), text)
    }

    #[test]
    fn a_file_without_a_head_is_found() {
        assert_eq!(found("a/src/lib.rs", "fn f() {}\n").len(), 1);
        assert!(found("a/src/lib.rs", "//! Takes, gives.\nfn f() {}\n").is_empty());
    }

    #[test]
    fn a_long_file_is_found_and_its_tests_do_not_count() {
        let long = format!("//! Head.\n{}", "const A: u8 = 0;\n".repeat(MAX_FILE));
        assert_eq!(found("a/src/lib.rs", &long).len(), 1);
        assert!(found("a/tests/lib.rs", &long).is_empty());
        assert!(found("a/src/lib_tests.rs", &long).is_empty());
        let tests = "    fn t() {}\n".repeat(MAX_FILE);
        assert!(found("a/src/lib.rs", &format!("//! Head.\n#[cfg(test)]\nmod tests {{\n{tests}}}\n")).is_empty());
    }

    #[test]
    fn code_after_the_tests_counts() {
        let text = "//! Head.\n#[cfg(test)]\nmod tests {\n    fn t() {}\n}\nfn after() {}\n";
        assert_eq!(without_tests(text), "//! Head.\nfn after() {}\n");
        let separate = "//! Head.\n#[cfg(test)]\nmod tests;\nfn after() {}\n";
        assert_eq!(without_tests(separate), "//! Head.\nfn after() {}\n");
    }

    #[test]
    fn a_long_reconcile_is_found() {
        let body = "    step();\n".repeat(MAX_RECONCILE);
        let text = format!("//! Head.\nasync fn reconcile(x: X) {{\n{body}}}\n");
        assert!(found("a/src/lib.rs", &text)[0].contains("reconcile has 42 lines"));
        assert!(found("a/src/lib.rs", "//! Head.\nfn reconcile() {\n    step();\n}\n").is_empty());
    }
}
