//! Hosts and their pinned keys.

use std::fmt;
use std::str::FromStr;

use allmende_agent::protocol::Facts;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Jump, Name, Parameters};

/// A Debian or Ubuntu machine reached over SSH.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Short name, unique over all organisations.
    pub name: Name,
    /// The organisation that owns it; none when several share it.
    pub organisation: Option<Name>,
    /// Address or name under which the controller reaches it.
    pub address: String,
    /// Port of its SSH server.
    pub port: u16,
    /// The key it must show; every other key stops everything.
    pub host_key: HostKey,
    /// Hosts through which it is reached, the first one first; none when it is reached directly.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jumps: Vec<Jump>,
    /// Set while nothing on it may be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<HostLock>,
    /// Where it stands.
    pub location: Option<String>,
    /// Who runs the machine or the building.
    pub provider: Option<String>,
    /// What it costs.
    pub monthly_cost: Option<MonthlyCost>,
    /// Values for the parameters of host-wide templates.
    pub settings: Parameters,
    /// What it is, as of the last contact.
    pub facts: Facts,
    /// The last contact.
    pub seen_at: Timestamp,
}

/// Why nothing on a host may be changed for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostLock {
    /// Who locked it.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub reason: String,
}

/// The public key of a host in OpenSSH's form, without a comment: "ssh-ed25519 AAAA…".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostKey(pub String);

/// An amount of money a month, in cents of a euro.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonthlyCost(pub u32);

impl FromStr for MonthlyCost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || format!("{text:?} is no amount in euros a month: write it like 4.50");
        let (euros, cents) = text.split_once(['.', ',']).unwrap_or((text, "0"));
        let cents = match cents.len() {
            1 => format!("{cents}0"),
            2 => cents.to_owned(),
            _ => return Err(refuse()),
        };
        let digits = |part: &str| part.chars().all(|c| c.is_ascii_digit());
        if !digits(euros) || !digits(&cents) {
            return Err(refuse());
        }
        let euros: u32 = euros.parse().map_err(|_| refuse())?;
        let cents: u32 = cents.parse().map_err(|_| refuse())?;
        euros
            .checked_mul(100)
            .and_then(|sum| sum.checked_add(cents))
            .map(Self)
            .ok_or_else(refuse)
    }
}

impl fmt::Display for MonthlyCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02} €", self.0 / 100, self.0 % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_read_with_point_or_comma() {
        for (text, cents) in [("4.50", 450), ("4,5", 450), ("12", 1200), ("0.07", 7)] {
            assert_eq!(text.parse(), Ok(MonthlyCost(cents)), "{text}");
        }
        for bad in ["", ".", "4.505", "-1", "4.-1", "99999999999", "4€"] {
            assert!(bad.parse::<MonthlyCost>().is_err(), "{bad:?}");
        }
        assert_eq!(MonthlyCost(450).to_string(), "4.50 €");
    }
}
