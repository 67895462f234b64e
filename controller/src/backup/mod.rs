//! Backups: where they go, what is kept of them, how restic is asked; and copies of Allmende's own data.

mod disk;
pub mod engine;
mod escrow;
pub mod own;
pub mod repository;
mod retention;
mod secrets;
mod serving;
pub mod sheet;
mod simulator;

pub use disk::{Disk, DiskError};
pub use escrow::{EscrowError, confirm, ensure_escrow_key, escrow_password, is_confirmed};
pub use retention::{Held, Reason, kept};
pub use secrets::{ESCROW, credential, repository_password};
pub use serving::Serving;
pub use simulator::{Simulated, simulate};
