//! The `bailiwick` program; everything is in the library.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    bailiwick::cli::run().await
}
