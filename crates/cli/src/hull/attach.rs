//! `hull attach`: a shell in a running container.

use super::context::Context;
use super::exec::{How, enter};
use crate::errors::Outcome;

/// Open a shell in a running container
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the container
    name: String,
    #[command(flatten)]
    how: How,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    enter(&args.name, &args.how, Vec::new(), context)
}
