//! The lab's own network: a bridge, a subnet that nobody else uses, and a way out for packages.

use std::fmt;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::command::Argv;
use super::error::LabError;
use super::registry::Names;
use super::shared::Shared;

/// Private ranges to pick a /24 from; seldom used, and none of Docker's or libvirt's defaults.
const RANGES: [(u8, u8); 3] = [(10, 197), (10, 229), (172, 29)];

/// A network of 256 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Subnet(Ipv4Addr);

impl Subnet {
    /// The /24 that an address lies in.
    #[cfg(test)]
    pub fn new(address: Ipv4Addr) -> Subnet {
        let [a, b, c, _] = address.octets();
        Subnet(Ipv4Addr::new(a, b, c, 0))
    }

    fn nth(self, last: u8) -> Ipv4Addr {
        let [a, b, c, _] = self.0.octets();
        Ipv4Addr::new(a, b, c, last)
    }

    /// This machine's address in the network.
    pub fn gateway(self) -> Ipv4Addr {
        self.nth(1)
    }

    /// The address of the host with a number, which is at most [`super::MOST_HOSTS`].
    pub fn host(self, number: u32) -> Ipv4Addr {
        self.nth(u8::try_from(number.saturating_add(10)).unwrap_or(u8::MAX - 1))
    }

    fn overlaps(self, network: Ipv4Addr, prefix: u8) -> bool {
        let shift = 32 - u32::from(prefix.min(24));
        // A default route covers everything and occupies nothing.
        prefix > 0 && u32::from(self.0).checked_shr(shift) == u32::from(network).checked_shr(shift)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/24", self.0)
    }
}

/// The networks named in the output of `ip -json address` and `ip -json route`.
fn used(addresses: &str, routes: &str) -> Vec<(Ipv4Addr, u8)> {
    let read = |text: &str| serde_json::from_str::<Vec<serde_json::Value>>(text).unwrap_or_default();
    let mut networks = Vec::new();
    for interface in read(addresses) {
        for address in interface["addr_info"].as_array().into_iter().flatten() {
            let prefix = address["prefixlen"].as_u64().and_then(|p| u8::try_from(p).ok());
            let local = address["local"].as_str().and_then(|a| a.parse().ok());
            networks.extend(local.zip(prefix));
        }
    }
    for route in read(routes) {
        let Some(target) = route["dst"].as_str() else {
            continue;
        };
        let (address, prefix) = target.split_once('/').unwrap_or((target, "32"));
        networks.extend(address.parse().ok().zip(prefix.parse().ok()));
    }
    networks
}

/// The first subnet that collides with nothing; where the search begins depends on the lab, so that several labs that
/// are made at once seldom want the same.
fn choose(id: &str, used: &[(Ipv4Addr, u8)], claimed: &[Subnet]) -> Option<Subnet> {
    let begin = u8::from_str_radix(id.get(..2).unwrap_or_default(), 16).unwrap_or(0);
    let all = RANGES
        .iter()
        .flat_map(|(a, b)| (0..=255u8).map(move |i| (*a, *b, begin.wrapping_add(i))));
    let mut all = all.map(|(a, b, c)| Subnet(Ipv4Addr::new(a, b, c, 0)));
    all.find(|subnet| {
        !claimed.contains(subnet)
            && !used
                .iter()
                .any(|(network, prefix)| subnet.overlaps(*network, *prefix))
    })
}

/// A bridge with an address of its own: without one it takes over those of its ports, and neighbours lose sight of it.
fn bridge_commands(names: &Names, subnet: Subnet) -> Vec<Argv> {
    let bridge = names.bridge();
    let pairs: Vec<&str> = (0..3).filter_map(|i| names.id.get(i * 2..i * 2 + 2)).collect();
    let hardware = format!("02:61:6c:{}", pairs.join(":"));
    let ip = |words: &[&str]| Argv::new("ip").args(words);
    vec![
        ip(&["link", "add", &bridge, "address", &hardware, "type", "bridge"]),
        ip(&[
            "address",
            "add",
            &format!("{}/24", subnet.gateway()),
            "dev",
            &bridge,
        ]),
        ip(&["link", "set", &bridge, "up"]),
    ]
}

/// The lab's own nftables table, made anew whether or not it exists. No other table is touched.
fn ruleset(names: &Names, subnet: Subnet) -> String {
    let (table, bridge) = (names.table(), names.bridge());
    format!(
        "table ip {table}\ndelete table ip {table}\ntable ip {table} {{\n\
         \tchain out {{\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n\
         \t\tip saddr {subnet} oifname != \"{bridge}\" masquerade\n\t}}\n}}\n"
    )
}

/// Makes what is missing of the lab's network.
pub(super) async fn up(
    names: &Names,
    wanted: Option<Subnet>,
    record: impl Fn(Subnet) -> Result<(), LabError>,
) -> Result<Subnet, LabError> {
    let bridge = names.bridge();
    let exists = Path::new("/sys/class/net").join(&bridge).exists();
    let subnet = {
        let shared = Shared::open().await?;
        let subnet = match wanted {
            Some(subnet) => subnet,
            None => {
                let ip = |words: &[&str]| Argv::new("ip").args(["-json", "-4"]).args(words);
                let next = "install the package iproute2";
                let addresses = ip(&["address", "show"])
                    .run("listing the machine's addresses", next)
                    .await?;
                let routes = ip(&["route", "show", "table", "all"])
                    .run("listing the machine's routes", next)
                    .await?;
                let free = choose(&names.id, &used(&addresses, &routes), &shared.claims(names));
                free.ok_or_else(|| {
                    LabError::Refused(
                        "no private network is free on this machine; end another lab first".into(),
                    )
                })?
            }
        };
        record(subnet)?;
        shared.claim(names, subnet)?;
        shared.raise_settings()?;
        subnet
    };
    let next = "look at `ip link` and `nft list tables`, then run `lab down` and try again";
    if !exists {
        for argv in bridge_commands(names, subnet) {
            argv.run("making the lab's bridge", next).await?;
        }
    } else {
        // A command that was killed may have left a bridge without its address.
        let [_, address, up] = &bridge_commands(names, subnet)[..] else {
            return Ok(subnet);
        };
        let mut address = address.clone();
        if let Some(verb) = address.arguments.get_mut(1) {
            *verb = "replace".into();
        }
        address.run("giving the lab's bridge its address", next).await?;
        up.run("switching the lab's bridge on", next).await?;
    }
    Argv::new("nft")
        .args(["-f", "-"])
        .stdin(ruleset(names, subnet))
        .run("letting practice hosts reach the package mirror", next)
        .await?;
    Ok(subnet)
}

/// The interfaces of this lab that exist.
pub(super) fn interfaces(names: &Names) -> Vec<String> {
    let Ok(entries) = fs::read_dir("/sys/class/net") else {
        return Vec::new();
    };
    let ours = |name: &String| is_ours(name, &names.bridge());
    let mut found: Vec<String> = entries
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .filter(ours)
        .collect();
    found.sort_by_key(|name| *name == names.bridge());
    found
}

fn is_ours(interface: &str, bridge: &str) -> bool {
    interface == bridge
        || interface
            .strip_prefix("vb-")
            .and_then(|rest| rest.strip_prefix(bridge))
            .is_some_and(|rest| rest.starts_with('-'))
}

/// Whether the lab's table exists.
pub(super) async fn table_exists(names: &Names) -> bool {
    Argv::new("nft")
        .args(["list", "table", "ip", &names.table()])
        .run("looking", "")
        .await
        .is_ok()
}

/// Takes the lab's network away, by its names, whether or not it was ever complete.
pub(super) async fn down(names: &Names) -> Result<(), LabError> {
    for interface in interfaces(names) {
        let removed = Argv::new("ip")
            .args(["link", "delete", &interface])
            .run("removing a network interface", "try again")
            .await;
        // It may have gone by itself with its host.
        if let Err(error) = removed
            && Path::new("/sys/class/net").join(&interface).exists()
        {
            return Err(error);
        }
    }
    if table_exists(names).await {
        let argv = Argv::new("nft").args(["delete", "table", "ip", &names.table()]);
        argv.run("removing the lab's firewall table", "try again").await?;
    }
    Shared::leave(names).await
}

/// Connects a host's cable to the lab's bridge, or pulls it out.
pub(super) async fn cable(names: &Names, number: u32, plugged: bool) -> Result<(), LabError> {
    let interface = names.interface(number);
    let argv = Argv::new("ip").args(["link", "set", &interface]);
    let argv = if plugged {
        argv.args(["master", &names.bridge(), "up"])
    } else {
        argv.arg("nomaster")
    };
    argv.run(
        "changing the host's network cable",
        "see with `lab list` whether the host runs",
    )
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESSES: &str = r#"[{"ifname":"lo","addr_info":[{"local":"127.0.0.1","prefixlen":8}]},
        {"ifname":"x","addr_info":[{"local":"10.197.0.9","prefixlen":23}]},{"addr_info":[]},{}]"#;
    const ROUTES: &str = r#"[{"dst":"default","gateway":"192.0.2.1"},{"dst":"10.197.4.0/22"},{"dst":"10.197.2.7","type":"local"}]"#;

    #[test]
    fn a_subnet_avoids_interfaces_routes_and_other_labs() {
        let used = used(ADDRESSES, ROUTES);
        assert_eq!(used.len(), 4);
        let third = Subnet::new(Ipv4Addr::new(10, 197, 3, 0));
        assert_eq!(choose("000000", &used, &[]), Some(third));
        assert_eq!(
            choose("000000", &used, &[third]),
            Some(Subnet::new(Ipv4Addr::new(10, 197, 8, 0)))
        );
        assert_eq!(
            choose("ff0000", &used, &[]),
            Some(Subnet::new(Ipv4Addr::new(10, 197, 255, 0)))
        );
    }

    #[test]
    fn a_machine_without_room_is_told_so() {
        let everything = [
            (Ipv4Addr::new(10, 0, 0, 0), 8),
            (Ipv4Addr::new(172, 16, 0, 0), 12),
        ];
        assert_eq!(choose("000000", &everything, &[]), None);
        assert!(choose("000000", &[(Ipv4Addr::UNSPECIFIED, 0)], &[]).is_some());
    }

    #[test]
    fn unreadable_output_occupies_nothing() {
        assert_eq!(used("", "nonsense"), []);
    }

    #[test]
    fn addresses_follow_from_the_number() {
        let subnet = Subnet::new(Ipv4Addr::new(10, 197, 3, 77));
        assert_eq!(subnet.to_string(), "10.197.3.0/24");
        assert_eq!(subnet.gateway(), Ipv4Addr::new(10, 197, 3, 1));
        assert_eq!(subnet.host(1), Ipv4Addr::new(10, 197, 3, 11));
    }

    #[test]
    fn only_the_labs_own_table_and_bridge_are_named() {
        let names = Names::new("/lab".into());
        let subnet = Subnet::new(Ipv4Addr::new(10, 197, 3, 0));
        let rules = ruleset(&names, subnet);
        assert!(
            rules.contains(&format!("delete table ip {}\n", names.table())),
            "{rules}"
        );
        assert!(!rules.contains("flush"));
        for argv in bridge_commands(&names, subnet) {
            assert!(argv.line().contains(&names.bridge()), "{}", argv.line());
        }
        assert!(is_ours(&names.interface(3), &names.bridge()));
        assert!(!is_ours("vb-tplt12", &names.bridge()));
    }
}
