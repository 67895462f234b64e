//! The agent of Allmende: the protocol it speaks, the resources it knows, and the engine that brings them about.
//!
//! The controller uses the types of [`protocol`], the specifications in [`resources`] and the questions in [`observe`]; everything else runs only on
//! hosts. Nothing here starts a thread or a program before it is asked to.

pub mod backup;
pub mod layout;
pub mod observe;
pub mod protocol;
pub mod resources;
pub mod serve;

mod atomic;
mod authorized_keys;
mod blobs;
mod check;
mod clock;
mod diff;
mod engine;
mod error;
mod execute;
mod facts;
mod handlers;
mod host;
mod journal;
mod lock;
mod mask;
mod names;
mod outbox;
mod pending;
mod place;
mod process;
mod replace;
mod restore;
mod uninstall;

pub use authorized_keys::authorized_line;

/// Where the agent lives on a host. `authorized_keys` names this path in its forced command.
pub const AGENT_PATH: &str = "/usr/local/lib/allmende/allmende-agent";
