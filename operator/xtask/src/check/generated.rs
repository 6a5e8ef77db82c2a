//! Files that are generated and committed: each generator can compare instead of writing.

use anyhow::Result;

use crate::context::Context;
use crate::sh::Sh;

/// A program of the workspace that generates files.
struct Generator {
    package: &'static str,
    program: &'static str,
    /// What it writes, for the sentence.
    writes: &'static str,
}

/// Every generator, in the order in which they are run. Each accepts `--check`: write nothing, and fail when
/// something would have changed.
const GENERATORS: &[Generator] = &[
    Generator { package: "sv0-api", program: "crdgen", writes: "the custom resource definitions" },
    Generator {
        package: "sv0-cli",
        program: "docgen",
        writes: "the connectors' documents and onboarding artefacts, and the catalogue",
    },
];

/// Generators whose files are out of date.
#[expect(clippy::unnecessary_wraps, reason = "every check has this shape")]
pub(super) fn violations(ctx: &Context) -> Result<Vec<String>> {
    let check = |generator: &Generator| {
        Sh::new(env!("CARGO"))
            .args(["run", "--quiet", "--package", generator.package, "--bin", generator.program, "--", "--check"])
            .dir(&ctx.root)
            .quiet()
    };
    Ok(outdated(GENERATORS, check))
}

fn outdated(generators: &[Generator], check: impl Fn(&Generator) -> Result<()>) -> Vec<String> {
    let sentence = |generator: &Generator| {
        let error = check(generator).err()?;
        let Generator { package, program, writes } = generator;
        Some(format!("{writes} are out of date: run `cargo run -p {package} --bin {program}`. It said: {error:#}"))
    };
    generators.iter().filter_map(sentence).collect()
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_generator_that_would_change_something_is_named() {
        let found = outdated(GENERATORS, |_| Err(anyhow!("crds/x.yaml differs")));
        assert_eq!(found.len(), GENERATORS.len());
        assert!(found[0].contains("crdgen") && found[0].contains("crds/x.yaml differs"), "{found:?}");
        assert!(outdated(GENERATORS, |_| Ok(())).is_empty());
    }
}
