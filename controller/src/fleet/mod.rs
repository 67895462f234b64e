//! Hosts over SSH: first contact, the agent's installation, and sessions with the agent.
//!
//! ```text
//! probe ──▶ a person looks at the fingerprint ──▶ bootstrap (personal access, once)
//!                                                      │
//!                          Session::connect (the controller's key, the pinned host key)
//!                                                      │
//!            request · bridge · put_blob · take_reports · ensure_current · uninstall · close
//! ```
//!
//! Transport is SSH and nothing else. With the controller's key a host starts the agent and nothing but the agent: what
//! is asked of it is a [`Request`](allmende_agent::protocol::Request), never a command line. Only [`bootstrap`] uses a
//! shell, through the access of the person who adds the host.
//!
//! This room knows neither store nor vault: keys come in as arguments.

mod access;
mod advice;
mod agent_channel;
mod agent_desk;
mod bootstrap;
mod bridge;
mod connection;
mod destination;
mod embedded;
mod error;
mod frames;
mod identity;
mod keys;
mod known_hosts;
mod line;
mod probe;
mod remote_script;
mod replacement;
mod session;
mod ssh_config;
mod upload;
mod way;

pub use access::{PersonalAccess, Question};
pub use bootstrap::{Enrolled, Step, bootstrap, open_jump};
pub use bridge::Bridge;
pub use destination::Destination;
pub use embedded::EMBEDDED_AGENT;
pub use error::{FleetError, one_line};
pub use keys::{ControllerKey, ControllerKeys, InvalidKey, fingerprint};
pub use known_hosts::trusted_fingerprints;
pub use line::Line;
pub use probe::{contact, probe, probe_for};
pub use session::{Observed, Session};
pub use ssh_config::SshConfig;
pub use upload::BlobSource;
pub use way::Way;

#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod script_tests;
#[cfg(test)]
mod session_tests;
#[cfg(test)]
mod simulated_hosts;
#[cfg(test)]
pub mod test_host;
#[cfg(test)]
mod transfer_tests;
