//! Who listens on ports that others can reach and nobody expects: from the kernel's tables of sockets.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::{Finding, Observe, Scene};

/// Who listens on other ports than these?
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListeningPortsQuestion {
    /// TCP ports on which somebody may listen.
    pub tcp: Vec<u16>,
    /// UDP ports on which somebody may listen.
    pub udp: Vec<u16>,
}

/// Ports on which somebody listens, unexpected, for more than the host itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListeningPorts {
    /// By transport and number, at most [`ListeningPorts::MOST`].
    pub open: Vec<OpenPort>,
    /// How many there are.
    pub count: u64,
}

impl ListeningPorts {
    /// How many are named.
    pub const MOST: usize = 50;
}

/// One port and who listens there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenPort {
    /// TCP or UDP.
    pub transport: Transport,
    /// The port.
    pub port: u16,
    /// The program's name, if it could be found.
    pub program: Option<String>,
    /// Its unit, if it belongs to one.
    pub unit: Option<String>,
}

/// How a port is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// State of a TCP socket that listens, and of a UDP socket that belongs to no connection.
const LISTENS: [(Transport, &str); 2] = [(Transport::Tcp, "0A"), (Transport::Udp, "07")];

impl Observe for ListeningPortsQuestion {
    fn observe(&self, scene: &Scene) -> Result<Finding, String> {
        let mut sockets: BTreeMap<(Transport, u16), u64> = BTreeMap::new();
        // On one of these a program that asked something over UDP waits for its answer.
        let passing = scene.text("/proc/sys/net/ipv4/ip_local_port_range").ok();
        let passing = passing.and_then(|text| range(&text));
        for (transport, state) in LISTENS {
            let name = match transport {
                Transport::Tcp => "tcp",
                Transport::Udp => "udp",
            };
            let expected = match transport {
                Transport::Tcp => &self.tcp,
                Transport::Udp => &self.udp,
            };
            let mut text = scene.text(&format!("/proc/net/{name}"))?;
            // Not there where IPv6 is switched off.
            text.push_str(&scene.text(&format!("/proc/net/{name}6")).unwrap_or_default());
            for socket in text.lines().filter_map(|line| Socket::parse(line, state)) {
                let waits = transport == Transport::Udp
                    && passing.as_ref().is_some_and(|range| range.contains(&socket.port));
                if !socket.address.is_loopback() && !expected.contains(&socket.port) && !waits {
                    sockets.entry((transport, socket.port)).or_insert(socket.inode);
                }
            }
        }
        let count = sockets.len() as u64;
        let named: Vec<((Transport, u16), u64)> = sockets.into_iter().take(ListeningPorts::MOST).collect();
        let owners = if named.is_empty() {
            HashMap::new()
        } else {
            owners(scene, &named.iter().map(|(_, inode)| *inode).collect())
        };
        let open = named.into_iter().map(|((transport, port), inode)| {
            let owner = owners.get(&inode);
            OpenPort {
                transport,
                port,
                program: owner.map(|owner| owner.program.clone()),
                unit: owner.and_then(|owner| owner.unit.clone()),
            }
        });
        Ok(Finding::ListeningPorts(ListeningPorts {
            open: open.collect(),
            count,
        }))
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Socket {
    address: IpAddr,
    port: u16,
    inode: u64,
}

impl Socket {
    /// A line of `/proc/net/tcp` and the like, if its socket is in this state.
    fn parse(line: &str, state: &str) -> Option<Socket> {
        let mut words = line.split_whitespace();
        let (address, port) = words.nth(1)?.split_once(':')?;
        if words.nth(1)? != state {
            return None;
        }
        Some(Socket {
            address: ip(address)?,
            port: u16::from_str_radix(port, 16).ok()?,
            inode: words.nth(5)?.parse().ok()?,
        })
    }
}

/// The kernel writes each four bytes of an address as one number of this machine.
fn ip(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let digits = hex.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let mut bytes = [0; 16];
            for (place, byte) in bytes.iter_mut().zip(words.iter().flatten()) {
                *place = *byte;
            }
            // An IPv4 address in the clothes of an IPv6 one is loopback, too.
            Some(Ipv6Addr::from(bytes).to_canonical())
        }
        _ => None,
    }
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut numbers = text.split_whitespace().map(str::parse);
    Some(numbers.next()?.ok()?..=numbers.next()?.ok()?)
}

struct Owner {
    program: String,
    unit: Option<String>,
}

/// Who holds these sockets.
fn owners(scene: &Scene, wanted: &BTreeSet<u64>) -> HashMap<u64, Owner> {
    let mut owners = HashMap::new();
    for process in fs::read_dir(scene.layout.at("/proc"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = process.file_name();
        let Some(id) = name
            .to_str()
            .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        else {
            continue;
        };
        for file in fs::read_dir(process.path().join("fd"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let Some(inode) = fs::read_link(file.path()).ok().and_then(|link| {
                let inside = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
                inside.parse::<u64>().ok()
            }) else {
                continue;
            };
            if wanted.contains(&inode) {
                // Of a socket that systemd hands on, the program is the better answer: it comes later.
                owners.insert(inode, Owner::of(scene, id));
            }
        }
    }
    owners
}

impl Owner {
    fn of(scene: &Scene, process: &str) -> Owner {
        let text = |file: &str| scene.text(&format!("/proc/{process}/{file}")).unwrap_or_default();
        let groups = text("cgroup");
        let unit = groups
            .lines()
            .filter_map(|line| line.rsplit('/').next())
            .find(|name| name.ends_with(".service"));
        Owner {
            program: text("comm").trim().to_owned(),
            unit: unit.map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_read_as_the_kernel_writes_them() {
        let line = "   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1";
        let socket = Socket::parse(line, "0A").expect("listens");
        assert!(socket.address.is_loopback() && socket.port == 22 && socket.inode == 4711);
        assert_eq!(Socket::parse(line, "07"), None);
        for (hex, shown) in [
            ("00000000", "0.0.0.0"),
            ("00000000000000000000000001000000", "::1"),
            ("0000000000000000FFFF00000100007F", "127.0.0.1"),
        ] {
            assert_eq!(ip(hex).map(|ip| ip.to_string()).as_deref(), Some(shown));
        }
    }

    proptest! {
        #[test]
        fn what_the_kernel_says_may_be_anything(text in "([0-9A-F]{1,33}|:|0A| |.){0,60}") {
            Socket::parse(&text, "0A");
            ip(&text);
            range(&text);
        }
    }
}
