//! Backups: where they go, what is kept of them, how restic is asked; and copies of Allmende's own data.

mod disk;
pub mod engine;
pub mod own;
pub mod repository;
mod retention;
mod secrets;
mod serving;
mod simulator;

pub use disk::{Disk, DiskError};
pub use retention::{Held, Reason, kept};
pub use secrets::{ESCROW, credential, repository_password};
pub use serving::Serving;
pub use simulator::{Simulated, simulate};
