//! Who asks.

use serde::{Deserialize, Serialize};

/// Somebody who asks for an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The name under which audit log and jobs remember them.
    pub name: String,
}
