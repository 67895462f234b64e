//! Hosts on the way to another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::HostKey;

/// A host on the way to another, with the key that it must show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jump {
    /// Where it is, and as whom Allmende logs in there.
    #[serde(flatten)]
    pub at: JumpAddress,
    /// The key it must show.
    pub host_key: HostKey,
}

/// `user@host[:port]`, as people name a jump host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JumpAddress {
    /// The user there; needs no rights but to log in.
    pub user: String,
    /// Its address or name; IPv6 without brackets.
    pub address: String,
    /// The port of its SSH server.
    pub port: u16,
}

impl FromStr for JumpAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || {
            format!(
                "{text:?} is no jump host: write it like admin@gate.example.org or admin@[2001:db8::7]:2222"
            )
        };
        let (user, place) = text.rsplit_once('@').ok_or_else(refuse)?;
        let (address, port) = match place.strip_prefix('[').map(|rest| rest.split_once(']')) {
            Some(Some((address, ""))) => (address, None),
            Some(Some((address, rest))) => (address, Some(rest.strip_prefix(':').ok_or_else(refuse)?)),
            Some(None) => return Err(refuse()),
            // Several colons without brackets: an IPv6 address.
            None => match place.split_once(':') {
                Some((address, port)) if !port.contains(':') => (address, Some(port)),
                _ => (place, None),
            },
        };
        let port = port
            .map_or(Some(22), |port| port.parse().ok())
            .filter(|port| *port > 0);
        let odd =
            |text: &str| text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control());
        match port {
            Some(port) if !odd(user) && !odd(address) => Ok(Self {
                user: user.to_owned(),
                address: address.to_owned(),
                port,
            }),
            _ => Err(refuse()),
        }
    }
}

impl fmt::Display for JumpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, address, port } = self;
        match (address.contains(':'), *port) {
            (false, 22) => write!(f, "{user}@{address}"),
            (false, port) => write!(f, "{user}@{address}:{port}"),
            (true, 22) => write!(f, "{user}@[{address}]"),
            (true, port) => write!(f, "{user}@[{address}]:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_host_is_read_in_all_the_ways_people_write_it() {
        for (text, user, address, port, shown) in [
            ("anna@gate", "anna", "gate", 22, "anna@gate"),
            ("anna@gate:2222", "anna", "gate", 2222, "anna@gate:2222"),
            ("a@b@192.0.2.7:22", "a@b", "192.0.2.7", 22, "a@b@192.0.2.7"),
            (
                "anna@2001:db8::7",
                "anna",
                "2001:db8::7",
                22,
                "anna@[2001:db8::7]",
            ),
            (
                "anna@[2001:db8::7]:2222",
                "anna",
                "2001:db8::7",
                2222,
                "anna@[2001:db8::7]:2222",
            ),
        ] {
            let jump: JumpAddress = text.parse().expect(text);
            assert_eq!(
                (jump.user.as_str(), jump.address.as_str(), jump.port),
                (user, address, port)
            );
            assert_eq!(jump.to_string(), shown);
        }
        for bad in [
            "",
            "gate",
            "@gate",
            "anna@",
            "anna@gate:0",
            "anna@gate:x",
            "anna@[::1",
            "anna@[::1]22",
            "an na@gate",
        ] {
            assert!(bad.parse::<JumpAddress>().is_err(), "{bad:?}");
        }
    }
}
