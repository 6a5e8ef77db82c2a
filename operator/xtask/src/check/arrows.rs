//! Which crate may use which. The arrows are the architecture: what a program cannot link, it cannot do.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::context::Context;
use crate::sh::Sh;

/// What each crate may use of ours. A name that ends in `*` stands for all that begin like it.
const ALLOWED: &[(&str, &[&str])] = &[
    ("sv0-api", &[]),
    ("sv0-protocol", &[]),
    ("sv0-graph", &[]),
    ("sv0-rules", &["sv0-graph"]),
    ("sv0-connector", &["sv0-graph"]),
    ("sv0-connector-*", &["sv0-connector", "sv0-graph", "sv0-protocol"]),
    ("sv0-broker", &["sv0-connector", "sv0-protocol"]),
    // `sv0-store` for its client.
    ("sv0-scan", &["sv0-broker", "sv0-connector", "sv0-connector-*", "sv0-graph", "sv0-protocol", "sv0-store"]),
    ("sv0-engine", &["sv0-api", "sv0-graph", "sv0-protocol", "sv0-rules"]),
    ("sv0-evaluate", &["sv0-api", "sv0-engine", "sv0-graph", "sv0-protocol", "sv0-store"]),
    ("sv0-store", &["sv0-protocol"]),
    ("sv0-manager", &["sv0-api", "sv0-protocol"]),
    // `sv0-connector` for its HTTP client, which follows no redirect and reaches no private address. Not a connector:
    // the program reads the connectors' manifests as text and can make none of their requests. `sv0-engine`, to compute
    // an evaluation again.
    ("sv0-cli", &["sv0-api", "sv0-connector", "sv0-engine", "sv0-graph", "sv0-rules", "sv0-protocol", "sv0-store"]),
    // For tests of connectors: no line above may name it, so no program can link it.
    ("sv0-testkit", &["sv0-connector", "sv0-graph"]),
    ("sv0-estate", &["sv0-protocol"]),
    ("sv0-e2e", &["sv0-*"]),
    ("xtask", &["sv0-*"]),
];

/// What must not even be linked indirectly.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("sv0-graph", PURE),
    ("sv0-rules", PURE),
    ("sv0-engine", &["tokio", "reqwest", "hyper", "rustls"]),
    (
        "sv0-manager",
        &[
            "aws-config",
            "aws-sdk-*",
            "aws-sigv4*",
            "aws-smithy-*",
            "azure_*",
            "google-cloud-*",
            "gcp_auth",
            "object_store",
            "reqwest",
            "sv0-broker",
            "sv0-connector",
            "sv0-connector-*",
            "sv0-graph",
            "sv0-rules",
        ],
    ),
];

/// Synchronous and pure: no runtime, no cluster, no network.
const PURE: &[&str] = &["tokio", "kube", "kube-*", "k8s-openapi", "reqwest", "hyper", "rustls"];

/// Violations of both tables.
pub(super) fn violations(ctx: &Context) -> Result<Vec<String>> {
    let cargo = |arguments: &[&str]| Sh::new(env!("CARGO")).args(arguments).dir(&ctx.root).read();
    let arrows = arrows(&cargo(&["metadata", "--format-version=1", "--no-deps"])?)?;
    let mut found = direct(&arrows);
    for (package, forbidden) in FORBIDDEN {
        // The tree of this package alone: in the metadata of the workspace the features of all members are united.
        let tree = cargo(&["tree", "--package", package, "--edges", "normal", "--prefix", "none", "--format", "{p}"])?;
        found.extend(linked(package, &tree, forbidden));
    }
    Ok(found)
}

/// Normal and build dependencies on crates of ours, per crate.
type Arrows = BTreeMap<String, Vec<String>>;

fn arrows(metadata: &str) -> Result<Arrows> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        dependencies: Vec<Dependency>,
    }
    #[derive(Deserialize)]
    struct Dependency {
        name: String,
        kind: Option<String>,
        path: Option<String>,
    }
    let metadata: Metadata = serde_json::from_str(metadata).context("unexpected output of `cargo metadata`")?;
    // What only tests use does not reach a program.
    let counts = |dependency: &Dependency| dependency.path.is_some() && dependency.kind.as_deref() != Some("dev");
    let names = |package: Package| {
        let of_ours = package.dependencies.into_iter().filter(counts);
        (package.name, of_ours.map(|dependency| dependency.name).collect())
    };
    Ok(metadata.packages.into_iter().map(names).collect())
}

fn direct(arrows: &Arrows) -> Vec<String> {
    let mut found = Vec::new();
    for (package, uses) in arrows {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| matches(name, package)) else {
            found.push(format!(
                "{package} is not in the table of arrows: decide what it may use and add it to arrows.rs"
            ));
            continue;
        };
        for used in uses.iter().filter(|used| !allowed.iter().any(|name| matches(name, used))) {
            found.push(format!("{package} must not use {used}: it may use {}", list(allowed)));
        }
    }
    found
}

fn linked(package: &str, tree: &str, forbidden: &[&str]) -> Vec<String> {
    let mut names: Vec<&str> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != package && forbidden.iter().any(|pattern| matches(pattern, name)))
        .collect();
    names.sort_unstable();
    names.dedup();
    let sentence = |name: &str| {
        format!("{package} links {name}, which it must not (`cargo tree -p {package} -e normal -i {name}` shows how)")
    };
    names.into_iter().map(sentence).collect()
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "nothing of ours".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = r#"{"packages":[
        {"name":"sv0-manager","dependencies":[
            {"name":"sv0-api","kind":null,"path":"/a"},
            {"name":"sv0-graph","kind":null,"path":"/g"},
            {"name":"sv0-rules","kind":"dev","path":"/r"},
            {"name":"serde","kind":null}]},
        {"name":"sv0-connector-entra","dependencies":[{"name":"sv0-broker","kind":"build","path":"/b"}]},
        {"name":"sv0-new","dependencies":[]}]}"#;

    #[test]
    fn wrong_arrows_and_unknown_crates_are_found() {
        let found = direct(&arrows(METADATA).unwrap());
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("sv0-connector-entra must not use sv0-broker"));
        assert!(found[1].contains("sv0-manager must not use sv0-graph"));
        assert!(found[2].contains("sv0-new is not in the table"));
    }

    #[test]
    fn the_test_kit_is_for_tests_only() {
        let uses = |kind: &str| {
            let package = format!(
                r#"{{"packages":[{{"name":"sv0-connector-entra","dependencies":[{{"name":"sv0-testkit","kind":{kind},"path":"/t"}}]}}]}}"#
            );
            direct(&arrows(&package).unwrap())
        };
        assert_eq!(uses(r#""dev""#), Vec::<String>::new());
        assert!(uses("null")[0].contains("sv0-connector-entra must not use sv0-testkit"));
    }

    #[test]
    fn right_arrows_are_quiet() {
        let metadata = r#"{"packages":[{"name":"sv0-scan","dependencies":[
            {"name":"sv0-connector-entra","kind":null,"path":"/e"},{"name":"sv0-graph","kind":null,"path":"/g"}]}]}"#;
        assert!(direct(&arrows(metadata).unwrap()).is_empty());
    }

    #[test]
    fn forbidden_libraries_are_found_at_any_depth() {
        let tree = "sv0-graph v0.1.0 (/x)\nserde v1.0.0\ntokio v1.0.0\ntokio v1.0.0 (*)\nkube-client v5.0.0\n";
        let found = linked("sv0-graph", tree, PURE);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("kube-client") && found[1].contains("tokio"));
    }

    #[test]
    fn the_crypto_library_is_no_cloud_client() {
        let (_, forbidden) = FORBIDDEN.iter().find(|(name, _)| *name == "sv0-manager").unwrap();
        assert!(linked("sv0-manager", "aws-lc-rs v1.0.0\n", forbidden).is_empty());
        assert_eq!(linked("sv0-manager", "aws-sdk-sts v1.0.0\n", forbidden).len(), 1);
    }
}
