use clap::Args;
use clap_complete::Shell;

use super::CommandError;

/// For which shell.
#[derive(Debug, Args)]
pub(super) struct CompletionsArguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the shell's script.
pub(super) fn run(arguments: &CompletionsArguments) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut shown(), "bailiwick", &mut script);
    super::output::print_bytes(&script)
}

/// The command line without what is hidden, which completions would show.
pub(super) fn shown() -> clap::Command {
    let whole = super::command();
    let subcommands: Vec<_> = whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect();
    let arguments: Vec<_> = whole.get_arguments().cloned().collect();
    let about = whole.get_about().cloned().unwrap_or_default();
    let long_about = whole.get_long_about().cloned().unwrap_or_default();
    clap::Command::new("bailiwick")
        .version(env!("CARGO_PKG_VERSION"))
        .about(about)
        .long_about(long_about)
        .disable_help_subcommand(true)
        .args(arguments)
        .subcommands(subcommands)
}
