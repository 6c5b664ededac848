//! Variables that are set and say nothing.

use std::ffi::OsStr;

/// The command line's definition, in which a variable that says nothing counts as one that is not set.
pub(super) fn command() -> clap::Command {
    without_empty(super::command())
}

fn without_empty(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|argument| {
        let value = argument.get_env().and_then(std::env::var_os);
        match value.is_some_and(|value| says_nothing(&value)) {
            true => argument.env(None::<&'static str>),
            false => argument,
        }
    });
    command.mut_subcommands(without_empty)
}

/// Whether it is blank, or a field of a form that was left empty: clients that install bundles (MCPB) hand such a one on as
/// it stands in the manifest.
fn says_nothing(value: &OsStr) -> bool {
    let value = value.to_string_lossy();
    let value = value.trim();
    value.is_empty() || (value.starts_with("${user_config.") && value.ends_with('}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_blank_or_was_left_empty_in_a_form_says_nothing() {
        for (value, nothing) in [
            ("", true),
            (" \t", true),
            ("${user_config.data_folder}", true),
            ("demo", false),
            ("${HOME}/x", false),
            ("x${user_config.tenant}", false),
        ] {
            assert_eq!(says_nothing(OsStr::new(value)), nothing, "{value:?}");
        }
    }
}
