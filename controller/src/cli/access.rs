//! The person's own access to a host, used once to put Allmende's in place.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

use super::CliError;
use super::arguments::Confirm;
use crate::fleet::{self, Destination, Question};
use crate::model::Secret;
use crate::operations::{Asker, OperationError};

/// Shows the fingerprint of a host that is met for the first time, and asks whether it is the right one.
///
/// # Errors
/// If the host cannot be reached, the answer is no, or there is nobody to ask.
pub async fn ask_fingerprint(destination: &Destination, confirm: &Confirm) -> Result<String, CliError> {
    let shown = fleet::probe(destination)
        .await
        .map_err(OperationError::from)?
        .fingerprint;
    if !std::io::stdin().is_terminal() {
        return Err(CliError::Declined(format!(
            "{} shows a host key with the fingerprint {shown}. Compare it with what its console or provider shows, then add: --fingerprint {shown}",
            destination.address
        )));
    }
    println!("This is the first contact with {}.", destination.address);
    println!("It shows a host key with the fingerprint");
    println!("  {shown}");
    println!("Compare it with what the host's console or your provider shows.");
    let question = Confirm {
        yes: false,
        ..confirm.clone()
    };
    question.ask("Is it the same")?;
    Ok(shown)
}

/// Asks for passwords without showing them; without a terminal there is no answer.
pub fn asker() -> Asker {
    Asker(Arc::new(|question: &Question| {
        if !std::io::stdin().is_terminal() {
            return None;
        }
        let answer = rpassword::prompt_password(format!("{question}: ")).ok()?;
        Some(Secret::new(answer))
    }))
}

/// Expands a leading `~/`, which a shell leaves alone after `--identity=`.
pub fn expand_home(path: PathBuf) -> PathBuf {
    match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => path,
    }
}
