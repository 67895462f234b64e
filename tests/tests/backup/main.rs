//! Backups over the controller's own connection, with the real restic of both Debians.

mod running;
mod stage;
