//! Where a host is reached, and what it is called in messages.

use std::fmt;
use std::sync::Arc;

use crate::model::{Host, Jump, JumpAddress};

/// Where a host is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// What people call it.
    pub name: String,
    /// An IP address or a name; IPv6 with or without brackets.
    pub address: String,
    /// The port of its SSH server.
    pub port: u16,
    /// The hosts on the way to it, the first one first; shared, and small, for every error names its host.
    pub jumps: Arc<Vec<Jump>>,
}

impl Destination {
    /// A host on the way to others: the one behind those that come before it.
    pub fn of_jump(at: &JumpAddress, before: &[Jump]) -> Self {
        Self {
            name: at.address.clone(),
            address: at.address.clone(),
            port: at.port,
            jumps: Arc::new(before.to_vec()),
        }
    }

    /// The address without the brackets that people put around IPv6 addresses.
    pub fn bare_address(&self) -> &str {
        self.address
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(&self.address)
    }
}

impl From<&Host> for Destination {
    fn from(host: &Host) -> Self {
        Self {
            name: host.name.to_string(),
            address: host.address.clone(),
            port: host.port,
            jumps: Arc::new(host.jumps.clone()),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual_port = self.port == 22;
        match (self.name == self.address, usual_port) {
            (true, true) => f.write_str(&self.name),
            (true, false) => write!(f, "{} (port {})", self.name, self.port),
            (false, true) => write!(f, "{} ({})", self.name, self.address),
            (false, false) => write!(f, "{} ({}, port {})", self.name, self.address, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_says_only_what_is_not_obvious() {
        let show = |name: &str, address: &str, port| {
            let destination = Destination {
                name: name.into(),
                address: address.into(),
                port,
                jumps: Arc::default(),
            };
            (destination.to_string(), destination.bare_address().to_owned())
        };
        assert_eq!(show("web1", "web1", 22), ("web1".into(), "web1".into()));
        assert_eq!(
            show("web1", "192.0.2.7", 2222),
            ("web1 (192.0.2.7, port 2222)".into(), "192.0.2.7".into())
        );
        assert_eq!(
            show("web1", "[2001:db8::7]", 22),
            ("web1 ([2001:db8::7])".into(), "2001:db8::7".into())
        );
    }
}
