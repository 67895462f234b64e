//! `allmende init`.

use std::path::Path;

use super::{Answer, CliError};
use crate::operations::Controller;

/// Makes the data directory, or says that it is there.
pub async fn run(data_dir: &Path) -> Result<Answer, CliError> {
    let made = Controller::init(data_dir).await?;
    let place = data_dir.display();
    if made {
        println!("Allmende's data is in {place}.");
        println!(
            "The key to its secrets is {place}/vault.key: keep a copy of it where this computer is not."
        );
        println!();
        println!("Next: tell Allmende whom you look after, for example");
        println!("  allmende org add kita-sonne --name \"KiTa Sonne e.V.\" --sector kita");
    } else {
        println!("Allmende's data is in {place} already; nothing was changed.");
    }
    Ok(Answer::Yes)
}
