//! Arguments that several commands share, and questions to the person.

use std::io::{BufRead, IsTerminal, Write};

use clap::Args;

use super::CliError;
use crate::model::{Actor, Secret};

/// Whether programs read the output.
#[derive(Debug, Args)]
pub struct Json {
    /// Prints JSON for programs
    #[arg(long)]
    pub json: bool,
}

/// How sure the person is.
#[derive(Debug, Clone, Default, Args)]
pub struct Confirm {
    /// Says what would happen, and does nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Does not ask
    #[arg(long, short)]
    pub yes: bool,
}

impl Confirm {
    /// Asks the person to type the word `yes`.
    ///
    /// # Errors
    /// If the answer is no, or there is nobody to ask.
    pub fn ask(&self, what: &str) -> Result<(), CliError> {
        if self.yes || ask(&format!("{what}? Type yes to go on"))? == "yes" {
            return Ok(());
        }
        Err(CliError::Declined("Nothing was changed.".to_owned()))
    }

    /// Asks the person to type a name before something is destroyed.
    ///
    /// # Errors
    /// If the answer is another one, or there is nobody to ask.
    pub fn ask_for_name(&self, what: &str, name: &str) -> Result<(), CliError> {
        if self.yes || ask(&format!("{what}. Type {name} to go on"))? == name {
            return Ok(());
        }
        Err(CliError::Declined("Nothing was changed.".to_owned()))
    }
}

/// Asks for one line.
///
/// # Errors
/// If there is nobody to ask.
pub fn ask(question: &str) -> Result<String, CliError> {
    if !std::io::stdin().is_terminal() {
        return Err(CliError::Declined(format!(
            "{question}: there is no terminal to ask at. Add --yes if you are sure"
        )));
    }
    print!("{question}: ");
    let mut line = String::new();
    std::io::stdout()
        .flush()
        .and_then(|()| std::io::stdin().lock().read_line(&mut line))
        .map_err(|error| CliError::Declined(format!("cannot ask: {error}")))?;
    Ok(line.trim().to_owned())
}

/// Asks for a secret without showing it, or takes the first line of standard input.
///
/// # Errors
/// If nothing is given.
pub fn ask_secret(question: &str) -> Result<Secret, CliError> {
    let failed = |error| CliError::Declined(format!("cannot read the secret: {error}"));
    let text = if std::io::stdin().is_terminal() {
        rpassword::prompt_password(format!("{question}: ")).map_err(failed)?
    } else {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(failed)?;
        line
    };
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(CliError::Declined(format!(
            "{question}: nothing was given. Type it at a terminal, or pass it on standard input"
        )));
    }
    Ok(Secret::new(text.to_owned()))
}

/// The person at the terminal, by the name of their account.
pub fn actor() -> Actor {
    let name = ["SUDO_USER", "LOGNAME", "USER"]
        .iter()
        .find_map(|variable| std::env::var(variable).ok().filter(|name| !name.is_empty()))
        .or_else(account)
        .unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()));
    Actor { name }
}

/// The name of the account that runs the program, where no variable tells.
fn account() -> Option<String> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    name_of(rustix::process::getuid().as_raw(), &users)
}

/// The name of a user in the form of `/etc/passwd`.
fn name_of(uid: u32, users: &str) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::name_of;

    #[test]
    fn an_account_is_found_by_its_number() {
        let users =
            "root:x:0:0:root:/root:/bin/bash\n# a comment\nanna:x:1000:1000:Anna,,,:/home/anna:/bin/sh\n";
        assert_eq!(name_of(1000, users).as_deref(), Some("anna"));
        assert_eq!(name_of(0, users).as_deref(), Some("root"));
        assert_eq!(name_of(7, users), None);
        assert_eq!(name_of(0, ":x:0:\n::\nbroken"), None);
    }
}
