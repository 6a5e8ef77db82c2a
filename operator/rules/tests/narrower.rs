//! Rules whose full claim no connector can feed: the catalogue shows them as narrower, so that none of them may claim more
//! of what a directory tells.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use support::*;
use sv0_graph::testing::text;
use sv0_graph::{CoverageState, attr};
use sv0_rules::{Claim, NARROWER_ONLY};

const ISSUERS: [(&str, &str); 4] = [
    ("https://token.actions.githubusercontent.com", "repo:contoso/app-N:pull_request"),
    ("https://oidc.cluster.example/id", "system:serviceaccount:shop:deploy-N"),
    ("https://app.terraform.io", "organization:contoso:project:infra:workspace:N:run_phase:apply"),
    ("https://gitlab.com", "project_path:contoso/app-N:ref_type:branch:ref:main"),
];

/// A strong identity that trusts so many workloads of so many issuers.
fn trusting(workloads: usize, issuers: usize) -> World {
    let mut world = World::privileged(GLOBAL_ADMINISTRATOR);
    world.made("2020-01-01T00:00:00Z").seen("2026-05-31T00:00:00Z");
    for n in 0..workloads {
        let (issuer, subject) = ISSUERS[n % issuers];
        let subject = subject.replace('N', &n.to_string());
        world.federated(&format!("fic-{n}"), issuer, &[(attr::SUBJECT, text(&subject))]);
    }
    world
}

/// Everything that a directory tells of trust and use: how many workloads and issuers, since when it was not used, and
/// which of the collections were read.
fn worlds() -> Vec<World> {
    let mut all = Vec::new();
    for workloads in [1, 3, 8] {
        for issuers in 1..=ISSUERS.len() {
            for used in [None, Some("2021-01-01T00:00:00Z"), Some("2026-05-30T00:00:00Z")] {
                for gap in [None, Some("servicePrincipalActivity"), Some("federatedCredentials"), Some("applications")]
                {
                    let mut world = trusting(workloads, issuers);
                    if let Some(at) = used {
                        world.used(attr::LAST_USED_AT, at).used(attr::LAST_UNATTENDED_USE_AT, at);
                    }
                    if let Some(collection) = gap {
                        world.cover(collection, CoverageState::Partial);
                    }
                    all.push(world);
                }
            }
        }
    }
    all
}

#[test]
fn they_never_make_their_full_claim_and_are_made() {
    let mut made: BTreeMap<String, BTreeSet<Claim>> = BTreeMap::new();
    for finding in worlds().iter().flat_map(|world| world.run().findings) {
        made.entry(finding.rule.id).or_default().insert(finding.rule.claim);
    }
    for id in NARROWER_ONLY {
        let meta = sv0_rules::catalogue().find(|meta| meta.id == *id).expect("a rule that there is");
        assert!(meta.narrower.is_some(), "{id} has a narrower claim to make");
        let claims = made.get(*id).unwrap_or_else(|| panic!("no world here makes {id} speak: add one"));
        assert_eq!(claims, &BTreeSet::from([Claim::Narrower]), "{id}");
    }
    // What the test looks for can be there: others claim all in these very worlds.
    assert!(made.values().any(|claims| claims.contains(&Claim::Full)));
}
