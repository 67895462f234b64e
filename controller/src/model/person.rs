//! Who asks, and what they may do.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Somebody who asks for an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The name under which audit log and jobs remember them.
    pub name: String,
}

/// What somebody may do for an organisation. Each role may do what those after it may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Answers for everything.
    Owner,
    /// Looks after hosts and services.
    Admin,
    /// Teaches trainees and signs their work off.
    Mentor,
    /// Learns, first of all on practice hosts.
    Trainee,
    /// One of the organisation's own people.
    Contact,
}

impl Role {
    /// Whether somebody with this role may do what takes the other one.
    pub fn includes(self, other: Role) -> bool {
        self <= other
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Role::Owner => "owner",
            Role::Admin => "admin",
            Role::Mentor => "mentor",
            Role::Trainee => "trainee",
            Role::Contact => "contact",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_may_do_what_lower_ones_may() {
        assert!(Role::Owner.includes(Role::Contact));
        assert!(Role::Mentor.includes(Role::Mentor));
        assert!(!Role::Contact.includes(Role::Trainee));
    }
}
