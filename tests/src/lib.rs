//! What the end-to-end tests share: the built program, practice hosts to use it on, a browser, and a witness.

mod client;
mod intruder;
mod letterbox;
mod postgres;
mod program;
mod rehearsal;
mod witness;
mod world;

pub use client::{Client, Form, Page};
pub use intruder::{Finding, Neighbours, Private};
pub use letterbox::Letterbox;
pub use postgres::{Cluster, Database};
pub use program::{Finished, program};
pub use rehearsal::{Proof, Rehearsal};
pub use witness::{Seen, Witness};
pub use world::{HostAccess, World};
