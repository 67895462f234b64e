//! Ports that the host's firewall lets in.

use serde::{Deserialize, Serialize};

/// Ports that are open to everybody, as elements of the sets `open_tcp` and `open_udp` of nftables table `inet allmende`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirewallSpec {
    /// Name of the drop-in `/etc/nftables.d/<name>.nft`.
    pub name: String,
    /// TCP ports.
    #[serde(default)]
    pub tcp: Vec<u16>,
    /// UDP ports.
    #[serde(default)]
    pub udp: Vec<u16>,
}
