//! `demo` and `simulator` where the program was built without them: each says so. What is deliberately not here: the two
//! themselves.

use clap::Args;

use super::{Failure, Outcome};

/// Whatever the real ones take, so that the answer is the same with it.
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
