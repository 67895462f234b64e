//! Channels: the ways by which people are told.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Name;

/// A way to tell people. Its password, token or key is in the vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// Short name, unique.
    pub name: Name,
    /// Where it goes and how.
    #[serde(flatten)]
    pub way: Way,
}

/// Where a channel goes and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Way {
    /// Mail by an SMTP server.
    Mail {
        /// The server.
        server: Server,
        /// How the connection is protected.
        encryption: Encryption,
        /// The sender: `Allmende <allmende@example.org>`.
        from: String,
        /// The account at the server; none where it asks for no password.
        user: Option<String>,
        /// Certificates, as PEM, that the server's may come from beside those that this machine trusts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ca: Option<String>,
    },
    /// A signed POST to a program of one's own.
    Webhook {
        /// Where to.
        url: String,
    },
    /// Push messages by ntfy.
    Ntfy {
        /// The server: `https://ntfy.sh`.
        url: String,
    },
    /// Messages in a room.
    Matrix {
        /// The homeserver: `https://matrix.example.org`.
        url: String,
    },
}

/// The kinds of channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum ChannelKind {
    /// Mail by an SMTP server
    Mail,
    /// A signed POST to a program of your own
    Webhook,
    /// Push messages by ntfy
    Ntfy,
    /// Messages in a Matrix room
    Matrix,
}

/// How a connection to a mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// Plain at first, then TLS before anything else is said (STARTTLS, usually port 587)
    Starttls,
    /// TLS from the first byte (usually port 465)
    Tls,
    /// None: everybody on the way can read it
    Plain,
}

/// `smtp.example.org:587`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Server {
    /// Name or address.
    pub host: String,
    /// Port; none for the usual one.
    pub port: Option<u16>,
}

/// How a channel is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ChannelHealth {
    /// How many attempts in a row failed.
    pub failures: i64,
    /// Since when it counts as failing.
    pub failing_since: Option<Timestamp>,
    /// Until when nothing is tried.
    pub retry_at: Option<Timestamp>,
    /// When something last went out.
    pub last_ok_at: Option<Timestamp>,
    /// What came back at the last failure.
    pub last_error: Option<String>,
}

impl Way {
    /// Its kind.
    pub fn kind(&self) -> ChannelKind {
        match self {
            Self::Mail { .. } => ChannelKind::Mail,
            Self::Webhook { .. } => ChannelKind::Webhook,
            Self::Ntfy { .. } => ChannelKind::Ntfy,
            Self::Matrix { .. } => ChannelKind::Matrix,
        }
    }

    /// The other side, without what may be confidential in an address: `smtp.example.org:587`, `ntfy.sh`.
    pub fn other_side(&self) -> String {
        match self {
            Self::Mail { server, .. } => server.to_string(),
            Self::Webhook { url } | Self::Ntfy { url } | Self::Matrix { url } => host_of(url).to_owned(),
        }
    }
}

/// The host and port of an address.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

/// Whether a host of an address or server is this machine.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost"
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for ChannelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Mail => "mail",
            Self::Webhook => "webhook",
            Self::Ntfy => "ntfy",
            Self::Matrix => "matrix",
        })
    }
}

impl fmt::Display for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Starttls => "starttls",
            Self::Tls => "tls",
            Self::Plain => "without TLS",
        })
    }
}

impl FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || format!("{text:?} is no mail server: write it like smtp.example.org:587");
        // An IPv6 address stands in brackets before a port.
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                (host, Some(port.parse::<u16>().map_err(|_| refuse())?))
            }
            _ => (text, None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let fits = !host.is_empty()
            && host
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || ".-:_".contains(c));
        if !fits || port == Some(0) {
            return Err(refuse());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl TryFrom<String> for Server {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Server> for String {
    fn from(server: Server) -> Self {
        server.to_string()
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        match self.port {
            Some(port) => f.pad(&format!("{host}:{port}")),
            None => f.pad(&host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_server_is_read_with_and_without_a_port() {
        for (text, host, port) in [
            ("smtp.example.org:587", "smtp.example.org", Some(587)),
            ("smtp.example.org", "smtp.example.org", None),
            ("[::1]:2525", "::1", Some(2525)),
            ("[::1]", "::1", None),
        ] {
            let server: Server = text.parse().expect(text);
            assert_eq!((server.host.as_str(), server.port), (host, port));
            assert_eq!(server.to_string(), text);
        }
        for bad in ["", ":587", "smtp:", "smtp:0", "smtp:99999", "a b", "https://smtp"] {
            assert!(bad.parse::<Server>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_other_side_is_named_without_what_may_be_confidential() {
        let url = "https://user:password@hooks.example.org:8443/services/T0P/S3CRET?key=1".to_owned();
        assert_eq!(Way::Webhook { url }.other_side(), "hooks.example.org:8443");
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for yes in ["localhost", "127.0.0.1", "[::1]", "::1", "127.9.9.9"] {
            assert!(is_loopback(yes), "{yes}");
        }
        for no in ["localhost.example.org", "192.0.2.1", "127.0.0.1.example.org", ""] {
            assert!(!is_loopback(no), "{no}");
        }
    }
}
