//! Backups: where they go, what is kept of them, how restic is asked; and copies of Allmende's own data.

mod create;
mod disk;
pub mod engine;
mod escrow;
mod order;
pub mod own;
mod report;
pub mod repository;
mod retention;
mod secrets;
mod serving;
pub mod sheet;
mod simulator;
mod way_back;

pub use create::{CreateError, create};
pub use disk::{Disk, DiskError};
pub use escrow::{EscrowError, confirm, ensure_escrow_key, escrow_password, is_confirmed};
pub use order::{Order, parts, steps as order_steps};
pub use report::Outcome;
pub use retention::{Held, Reason, kept};
pub use secrets::{ESCROW, credential, repository_password};
pub use serving::Serving;
pub use simulator::{Simulated, simulate};
pub use way_back::{Selection, WayBack};
