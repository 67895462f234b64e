//! Backups: where they go, what is kept of them, how restic is asked; and copies of Allmende's own data.

pub mod own;
mod disk;
mod secrets;
mod serving;

pub use disk::{Disk, DiskError};
pub use secrets::{ESCROW, credential, repository_password};
pub use serving::Serving;
