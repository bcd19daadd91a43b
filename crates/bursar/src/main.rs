//! The one binary.

use std::process::ExitCode;

#[cfg(feature = "planted")]
compile_error!("wrong turns on purpose belong into the simulation and never into the program");

fn main() -> ExitCode {
    bursar::cli::main()
}
