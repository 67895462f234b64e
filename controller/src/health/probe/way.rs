//! Getting there: which address a question goes to, and a connection to it.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::ssh;
use super::{Around, Clock, Finding};
use crate::catalogue::Place;
use crate::fleet::Way;
use crate::model::{Host, is_public_name};

/// What questions are asked over.
pub(super) trait Line: AsyncRead + AsyncWrite + Unpin + Send {}
impl<L: AsyncRead + AsyncWrite + Unpin + Send> Line for L {}

/// Where a question is asked, and what it is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Goal<'a> {
    /// The name or address that people know; none where it is the host's own.
    pub(super) name: Option<&'a str>,
    /// The port.
    pub(super) port: u16,
    /// The host at whose address it is asked; none where the name leads the way.
    host: Option<&'a Host>,
}

impl<'a> Goal<'a> {
    pub(super) fn new(name: Option<&'a str>, port: u16, at: Place, host: Option<&'a Host>) -> Self {
        // An address is meant as it is written.
        let is_address = name.is_some_and(|name| bare(name).parse::<IpAddr>().is_ok());
        let by_name = is_address || (at == Place::Name && name.is_some());
        Self {
            name,
            port,
            host: host.filter(|_| !by_name),
        }
    }

    /// Opens a connection.
    pub(super) async fn dial(&self, clock: Clock, around: &Around) -> Result<Box<dyn Line>, Finding> {
        match self.host {
            Some(host) if !host.jumps.is_empty() => {
                let Some(jump_key) = &around.jump_key else {
                    return Err(Finding::unknown("outside.no_way").with("place", self));
                };
                let opening = Way::open(host, self.port, jump_key);
                match clock.wait(opening, || self.silent(clock)).await? {
                    Ok(way) => Ok(Box::new(way)),
                    Err(error) => Err(ssh::failed(host, &error)),
                }
            }
            Some(host) => self.connect(&host.address, clock).await,
            None => match self.name {
                Some(name) => self.connect(name, clock).await,
                None => Err(Finding::unknown("outside.nobody")),
            },
        }
    }

    /// Tries the addresses of a name one after the other, each with its share of the time.
    async fn connect(&self, to: &str, clock: Clock) -> Result<Box<dyn Line>, Finding> {
        let looking = tokio::net::lookup_host((bare(to), self.port));
        let addresses: Vec<SocketAddr> = match clock.wait(looking, || self.lost(to)).await? {
            Ok(addresses) => addresses.collect(),
            Err(_) => return Err(self.lost(to)),
        };
        let mut last = self.lost(to);
        for (number, address) in addresses.iter().enumerate() {
            let left = addresses.len() - number;
            let share = clock.end().saturating_duration_since(tokio::time::Instant::now())
                / u32::try_from(left).unwrap_or(u32::MAX);
            match tokio::time::timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // Small questions at once; what does not know it only waits longer.
                    let _ = stream.set_nodelay(true);
                    return Ok(Box::new(stream));
                }
                Ok(Err(error)) => last = self.refused(&error),
                Err(_) => last = self.silent(clock),
            }
        }
        Err(last)
    }

    /// The name of what should be reached means nothing.
    fn lost(&self, to: &str) -> Finding {
        let finding = Finding::critical("outside.name_not_found").with("name", to);
        match is_public_name(to) {
            true => finding.then("next.name"),
            false => finding.then("next.private_name"),
        }
    }

    fn refused(&self, error: &io::Error) -> Finding {
        let finding = match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                return Finding::critical("outside.refused").with("place", self);
            }
            io::ErrorKind::TimedOut => Finding::critical("outside.gone"),
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                Finding::critical("outside.unreachable")
            }
            _ => Finding::critical("outside.not_connected").with("reason", error),
        };
        finding.with("place", self).then("next.host")
    }

    /// No answer at all came in the time that there was.
    fn silent(&self, clock: Clock) -> Finding {
        Finding::critical("outside.silent")
            .with("place", self)
            .with("seconds", clock.seconds)
            .then("next.host")
    }

    /// The connection is there, but what was waited for did not come.
    pub(super) fn late(&self, clock: Clock) -> Finding {
        Finding::critical("outside.late")
            .with("place", self)
            .with("seconds", clock.seconds)
    }

    /// The connection ended in the middle.
    pub(super) fn cut(&self) -> Finding {
        Finding::critical("outside.cut").with("place", self)
    }
}

impl fmt::Display for Goal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name, self.host) {
            (Some(name), Some(host)) if bare(name) != bare(&host.address) => {
                write!(f, "{name} ({}, port {})", host.address, self.port)
            }
            (Some(name), _) => write!(f, "{name} (port {})", self.port),
            (None, Some(host)) => write!(f, "{} ({}, port {})", host.name, host.address, self.port),
            (None, None) => write!(f, "port {}", self.port),
        }
    }
}

/// The address without the brackets around IPv6 addresses.
pub(super) fn bare(address: &str) -> &str {
    address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(address)
}
