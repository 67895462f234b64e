//! restic: how it is called, what its versions can do, what its end means; and running it on the controller.
//!
//! Commands are built here and nowhere else, as argument lists without a secret in them.

mod call;
mod command;
mod outcome;
mod place;
mod process;
mod secret_file;
#[cfg(test)]
mod tests;
mod version;

pub use call::Call;
pub use command::{CheckedData, Command, Tags};
pub use outcome::{BackedUp, EngineFailure, Summary, Verdict, backed_up, judge};
pub use place::{Credential, Place, on_host};
pub use process::{EngineError, Finished, Restic};
pub use version::{Ability, Version};

/// What restic believes to be the name of every host, so that a host that is renamed, or a service that moves, keeps its history.
pub const HOST: &str = "allmende";

/// Where restic keeps what a program wrote: the dump `db` is the file `/dump-db` of its snapshot. Not in a folder: version 0.18.0
/// takes no such name.
pub fn dump_path(id: &str) -> String {
    format!("/dump-{id}")
}
