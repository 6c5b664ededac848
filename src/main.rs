//! The `bailiwick` program; everything is in the library.

use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no threads could be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(bailiwick::cli::run());
    // A read of stdin that nothing can interrupt must not keep the program.
    runtime.shutdown_timeout(Duration::from_millis(500));
    code
}
