//! Tests of the evaluation from the outside, in one program so that it is linked once.
// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::panic)]

mod aged;
mod apply;
mod cluster;
mod common;
mod convert;
mod drift;
mod estate;
mod exceptions;
mod fold;
#[path = "../../../rules/tests/generated/mod.rs"]
mod generated;
mod hostile;
mod large;
mod life;
mod load;
mod memory;
mod order;
mod pack;
mod replay;
mod rule_pack;
mod said;
#[path = "../../../rules/tests/support/mod.rs"]
mod support;
mod through;
mod unknown;
mod whole;
mod world;
