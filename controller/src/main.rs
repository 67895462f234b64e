//! Allmende: the IT department of small non-profits, in a box. The controller.

#![allow(
    dead_code,
    unused_imports,
    reason = "backups arrive in steps, their types first; goes with the last step"
)]

mod backup;
mod catalogue;
mod cli;
mod fleet;
#[cfg(test)]
mod fuzz;
mod health;
mod lab;
#[cfg(test)]
mod layers;
mod model;
mod notify;
mod operations;
mod provision;
mod server;
mod settings;
mod store;
mod vault;

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    cli::run().await
}
