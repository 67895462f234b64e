//! Ports that the host's firewall lets in.

use rustix::fs::{AtFlags, unlinkat};
use serde::{Deserialize, Serialize};

use crate::atomic::{Candidate, Rights};
use crate::diff;
use crate::error::{Attempt, Error};
use crate::host::{Host, Intent};
use crate::names;
use crate::process::{Program, is_there};
use crate::resources::{Difference, Manage};

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

const RULES: &str = "/etc/nftables.conf";

impl FirewallSpec {
    /// Where the ports of this name are written down.
    pub(super) fn drop_in(name: &str) -> String {
        format!("/etc/nftables.d/{name}.nft")
    }

    /// Closes the ports of this name; those that others keep open stay open.
    pub(super) fn close(host: &mut Host, name: &str) -> Result<(), Error> {
        let path = Self::drop_in(name);
        if let Some(place) = host.place(&path)? {
            unlinkat(&place.dir, &place.name, AtFlags::empty()).attempt("removing", &place.path)?;
            place.sync_directory()?;
        }
        let rules = host.layout.at(RULES);
        if rules.exists() {
            let loaded = host.succeed(&Program::new(["nft", "-f", &rules.to_string_lossy()]));
            host.firewall_changed();
            loaded?;
        }
        Ok(())
    }

    fn content(&self) -> String {
        let mut content = String::from("# Written by Allmende; ports that are open to everybody.\n");
        for (set, ports) in [("open_tcp", &self.tcp), ("open_udp", &self.udp)] {
            let mut ports: Vec<u16> = ports.clone();
            ports.sort_unstable();
            ports.dedup();
            if !ports.is_empty() {
                let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
                content.push_str(&format!(
                    "add element inet allmende {set} {{ {} }}\n",
                    ports.join(", ")
                ));
            }
        }
        content
    }

    /// Ports that the kernel does not let in, like "443/tcp".
    fn closed(&self, host: &mut Host) -> Result<Vec<String>, Error> {
        let sets = host.live_sets()?;
        let closed = |set, ports: &[u16], protocol| {
            let closed = ports.iter().filter(|port| !sets.has(set, **port));
            closed
                .map(|port| format!("{port}/{protocol}"))
                .collect::<Vec<_>>()
        };
        let mut all = closed("open_tcp", &self.tcp, "tcp");
        all.extend(closed("open_udp", &self.udp, "udp"));
        Ok(all)
    }

    fn all(&self) -> String {
        let ports = |ports: &[u16], protocol| {
            ports
                .iter()
                .map(|port| format!("{port}/{protocol}"))
                .collect::<Vec<_>>()
        };
        let mut all = ports(&self.tcp, "tcp");
        all.extend(ports(&self.udp, "udp"));
        all.join(", ")
    }
}

impl Manage for FirewallSpec {
    fn check(&self) -> names::Verdict {
        names::file_name(&self.name)?;
        if self.tcp.contains(&0) || self.udp.contains(&0) {
            return Err(format!("firewall {}: 0 is no port", self.name));
        }
        Ok(())
    }

    fn subject(&self) -> String {
        format!("{} ({})", self.name, self.all())
    }

    fn compare(&self, host: &mut Host) -> Result<Option<Difference>, Error> {
        let content = self.content();
        let found = match host.place(&Self::drop_in(&self.name))? {
            Some(place) if place.stat()?.is_some() => Some(place.read(diff::MOST)?),
            _ => None,
        };
        let mut difference = if found.is_some() {
            Difference::change()
        } else {
            Difference::create()
        };
        if found.as_deref() != Some(content.as_bytes()) {
            difference = difference.with(diff::content(found.as_deref(), &content, None));
        }
        if !is_there("nft") && host.intent == Intent::Plan {
            return Ok(Some(difference.becomes("open", None, &self.all())));
        }
        let closed = self.closed(host)?;
        if !closed.is_empty() {
            difference = difference.becomes("open", None, &closed.join(", "));
        }
        Ok(difference.if_any())
    }

    fn change(&self, host: &mut Host, difference: &Difference) -> Result<(), Error> {
        let rules = host.layout.at(RULES);
        if !rules.exists() {
            return Err(Error::obstacle(
                format!("{RULES} is not there, which has to define the table `inet allmende`"),
                "apply the template `base` to this host first",
            ));
        }
        let (uid, gid) = host.ids("root", "root")?;
        let rights = Rights {
            uid,
            gid,
            mode: 0o644,
        };
        let place = host.place_made(&Self::drop_in(&self.name))?;
        let before = match place.stat()? {
            Some(_) => Some(place.read(diff::MOST)?),
            None => None,
        };
        if difference.is_about("content") {
            Candidate::write(&place, self.content().as_bytes(), rights)?.put(&place)?;
        }
        let rules = rules.to_string_lossy().into_owned();
        if let Err(source) = host.succeed(&Program::new(["nft", "-c", "-f", &rules])) {
            // Rules that do not load must not lie in wait for the next boot.
            match before {
                Some(before) => Candidate::write(&place, &before, rights)?.put(&place)?,
                None => drop(unlinkat(&place.dir, &place.name, AtFlags::empty())),
            }
            return Err(Error::ProgramWith {
                source,
                more: format!(
                    "\nso the firewall stays as it is; see {RULES} and /etc/nftables.d on the host"
                ),
            });
        }
        let loaded = host.succeed(&Program::new(["nft", "-f", &rules]));
        host.firewall_changed();
        loaded?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drop_in_is_the_same_whatever_the_order() {
        let spec = FirewallSpec {
            name: "web".to_owned(),
            tcp: vec![443, 80, 443],
            udp: vec![],
        };
        assert_eq!(
            spec.content(),
            "# Written by Allmende; ports that are open to everybody.\nadd element inet allmende open_tcp { 80, 443 }\n"
        );
        assert_eq!(spec.check(), Ok(()));
        assert!(FirewallSpec { tcp: vec![0], ..spec }.check().is_err());
    }
}
