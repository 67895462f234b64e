//! Packages of the distribution.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::host::{Host, Packages};
use crate::names;
use crate::process::ProcessError;
use crate::resources::apt;
use crate::resources::{Difference, Manage};

/// Packages that are installed; their versions are the distribution's business.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageSpec {
    /// Names; a name that an installed package provides counts as installed.
    pub names: Vec<String>,
    /// Whether what they recommend is installed too.
    #[serde(default)]
    pub recommends: bool,
}

impl PackageSpec {
    /// What is missing, and what an interrupted dpkg left half done.
    fn missing(&self, packages: &Packages) -> Vec<String> {
        let missing = |name: &&String| packages.state(name) != Some("installed");
        self.names.iter().filter(missing).cloned().collect()
    }
}

impl Manage for PackageSpec {
    fn check(&self) -> names::Verdict {
        if self.names.is_empty() {
            return Err("a package resource names no packages".to_owned());
        }
        self.names.iter().try_for_each(|name| names::package(name))
    }

    fn subject(&self) -> String {
        self.names.join(", ")
    }

    fn compare(&self, host: &mut Host) -> Result<Option<Difference>, Error> {
        let packages = host.packages()?;
        let missing = self.missing(packages);
        let mut difference = if missing.len() == self.names.len() {
            Difference::create()
        } else {
            Difference::change()
        };
        for name in missing {
            let state = packages.state(&name).map(str::to_owned);
            difference = difference.becomes(&name, state.as_deref(), "installed");
        }
        Ok(difference.if_any())
    }

    fn change(&self, host: &mut Host, _: &Difference) -> Result<(), Error> {
        let packages = host.packages()?;
        let (missing, interrupted) = (self.missing(packages), packages.interrupted);
        let done = apt::bring(host, &missing, self.recommends, interrupted);
        host.anything_changed();
        done.map_err(advised)
    }
}

fn advised(source: ProcessError) -> Error {
    let more = if source.says("Unable to locate package") || source.says("has no installation candidate") {
        "\nthe distribution of this host has no such package: check the name and the host's release"
    } else if source.says("Could not get lock") || source.says("Unable to acquire the dpkg frontend lock") {
        "\nanother program has been installing packages for five minutes; apply again when it is done"
    } else if source.says("Failed to fetch") || source.says("Temporary failure") {
        "\nsee whether the host reaches the internet and its package sources, and apply again"
    } else {
        "\nsee what `dpkg --audit` and `apt-get check` say on the host, and apply again"
    };
    Error::ProgramWith {
        source,
        more: more.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::difference::tests::Bench;

    #[test]
    fn missing_and_half_installed_packages_are_named() {
        let bench = Bench::new();
        bench.write(
            "/var/lib/dpkg/status",
            "Package: curl\nStatus: install ok installed\n\nPackage: jq\nStatus: install ok half-configured\n",
        );
        let spec = |names: &[&str]| PackageSpec {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            recommends: false,
        };
        assert_eq!(bench.plans(&spec(&["curl"])), None);
        let difference = bench.plans(&spec(&["curl", "jq", "tree"])).expect("differs");
        assert_eq!(
            difference.described(),
            "jq is half-configured and not installed, tree is not installed"
        );
        assert!(spec(&[]).check().is_err() && spec(&["-y"]).check().is_err());
    }
}
