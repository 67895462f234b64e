//! Backups: where they go, what is kept of them, how restic is asked; and copies of Allmende's own data.

pub mod own;
mod secrets;
mod serving;

pub use secrets::{ESCROW, credential, repository_password};
pub use serving::Serving;
