//! The `peerage` command; see the library beside it, which the fuzz targets use too.

use std::process::ExitCode;

fn main() -> ExitCode {
    peerage_cli::main()
}
