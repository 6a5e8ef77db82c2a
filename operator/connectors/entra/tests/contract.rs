//! The contract of connectors (docs/connector-contract.md), run on this one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod fixture;

sv0_testkit::contract!(fixture::subject());
