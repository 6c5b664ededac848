use std::path::PathBuf;

use clap::Args;

use super::CommandError;

/// Which pages, and where to.
#[derive(Debug, Args)]
pub(super) struct ManArguments {
    /// Write a page for the program and for each command into this folder, rather than the program's on stdout
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints or writes manual pages.
pub(super) fn run(arguments: &ManArguments) -> Result<(), CommandError> {
    let command = super::completions::shown();
    let Some(folder) = &arguments.dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        return super::output::print_bytes(&page);
    };
    std::fs::create_dir_all(folder).map_err(|error| format!("cannot make the folder {}: {error}", folder.display()))?;
    clap_mangen::generate_to(command, folder)
        .map_err(|error| format!("cannot write pages into {}: {error}", folder.display()).into())
}
