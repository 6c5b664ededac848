use super::CommandError;

/// Prints the manifest.
#[expect(clippy::print_stdout, reason = "the command's output")]
pub(super) fn run() -> Result<(), CommandError> {
    print!("{}", crate::mcp::manifest());
    Ok(())
}
