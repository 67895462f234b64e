//! What controller and agent say to each other over the standard input and output of `allmende-agent serve`.
//!
//! A stream of frames ([`frame`]) carries JSON messages ([`message`], [`backup`], [`restore`]) and raw blob chunks. `docs/protocol.md` documents
//! the format.

pub mod backup;
pub mod frame;
pub mod message;
pub mod restore;

pub use backup::*;
pub use frame::{Frame, FrameError, read_frame, write_frame};
pub use message::*;
pub use restore::*;

/// The version of the protocol. It rises with every change that an older peer would misread.
///
/// The hello exchange and the `replace` family of requests keep their shape across versions, so that a controller can
/// bring an older agent up to date over the protocol itself.
pub const PROTOCOL_VERSION: u32 = 1;
