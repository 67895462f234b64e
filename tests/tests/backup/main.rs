//! Backups over the controller's own connection, with the real restic of both Debians.

mod drills;
mod keeping;
mod restoring;
mod running;
mod stage;
