//! `demo` and `simulator` in a build without them: each prints that it is missing. Not here: the two commands
//! themselves.

use clap::Args;

use super::{Failure, Outcome};

/// Accepts any arguments of the real commands, so that the answer is the same.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(super) struct Options {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _all: Vec<String>,
}

pub(super) async fn run(_options: Options) -> Outcome {
    Err(Failure(
        "This Bursar was built for a server, without the demonstration and the simulated vendors; in a clone of its source, `cargo run --release -- demo` and `cargo run --release -- simulator` have them.".to_owned(),
    ))
}
