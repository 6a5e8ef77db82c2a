//! `cargo xtask check`.
use anyhow::Result;
use crate::context::Context;
#[derive(clap::Args)]
pub(crate) struct Args {}
pub(crate) fn run(_: &Context, _: &Args) -> Result<()> { Ok(()) }
