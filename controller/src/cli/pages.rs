//! Completions and man pages, made from the command line's own definition.

use std::path::PathBuf;

use clap::{Args, CommandFactory};

use super::{Answer, Cli, CliError};

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    shell: clap_complete::Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct Man {
    /// Folder for the pages
    folder: PathBuf,
}

/// Prints completions.
pub fn completions(arguments: &Completions) -> Answer {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "allmende", &mut text);
    print!("{}", String::from_utf8_lossy(&text));
    Answer::Yes
}

/// Writes one page for each command.
pub fn man(arguments: &Man) -> Result<Answer, CliError> {
    clap_mangen::generate_to(Cli::command(), &arguments.folder).map_err(|source| CliError::File {
        path: arguments.folder.clone(),
        source,
    })?;
    println!("The man pages are in {}.", arguments.folder.display());
    Ok(Answer::Yes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
