//! The `bursar` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    bursar::cli::main()
}
