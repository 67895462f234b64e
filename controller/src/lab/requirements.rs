//! What the machine must have before it can make practice hosts.

use std::fmt;
use std::fs;
use std::path::Path;

use super::command::{Argv, find_program};
use super::error::LabError;
use super::sources::{self, Machine, RELEASES};
use super::{CACHE, Progress};

/// Something that the machine lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// What is missing, and what to do, as one sentence without a full stop.
    pub what: String,
    /// The Debian package that brings it, if one does.
    pub package: Option<&'static str>,
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.package {
            Some(package) => write!(f, "{} (package {package})", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// The programs that the lab starts, and where they come from.
const PROGRAMS: [(&str, &str); 12] = [
    ("mmdebstrap", "mmdebstrap"),
    ("systemd-nspawn", "systemd-container"),
    ("nft", "nftables"),
    ("ip", "iproute2"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("systemctl", "systemd"),
    ("apt-get", "apt"),
    ("unshare", "util-linux"),
    ("mount", "mount"),
    ("umount", "mount"),
    ("chroot", "coreutils"),
];

/// Free space that a base image needs while it is built.
const BASE_MB: u64 = 1500;
/// Free space that hosts need at least.
const HOSTS_MB: u64 = 500;

/// Everything that this machine lacks; empty when the lab can start.
pub(super) fn missing(directory: &Path) -> Vec<Requirement> {
    let mut missing = Vec::new();
    let mut need = |what: String, package| missing.push(Requirement { what, package });
    if !rustix::process::geteuid().is_root() {
        need(
            "practice hosts need the rights of root: start the command with sudo".into(),
            None,
        );
    }
    for (program, package) in PROGRAMS {
        if find_program(program).is_none() {
            need(format!("the program {program}"), Some(package));
        }
    }
    if !Path::new("/usr/share/keyrings/debian-archive-keyring.gpg").exists() && Machine::here().id == "debian"
    {
        need(
            "the keys of Debian's archive".into(),
            Some("debian-archive-keyring"),
        );
    }
    if !fs::read_to_string("/proc/filesystems")
        .unwrap_or_default()
        .lines()
        .any(|line| line.trim_end().ends_with("\toverlay"))
        && find_program("modprobe").is_none()
    {
        need(
            "the kernel's overlay file system: start a kernel that has it".into(),
            None,
        );
    }
    for (folder, megabytes) in [(Path::new(CACHE), BASE_MB), (directory, HOSTS_MB)] {
        let free = free_mb(folder);
        if free.is_some_and(|free| free < megabytes) {
            let free = free.unwrap_or_default();
            need(
                format!(
                    "{megabytes} MB of free space for {} (there are {free} MB): make room",
                    folder.display()
                ),
                None,
            );
        }
    }
    if let Err(error) = sources::translate(
        &sources::of_machine(Path::new("/etc/apt")),
        &Machine::here(),
        RELEASES[1],
    ) {
        need(error.to_string(), None);
    }
    missing
}

/// Free space in the nearest folder that exists.
fn free_mb(folder: &Path) -> Option<u64> {
    let existing = folder.ancestors().find(|path| path.exists())?;
    let numbers = rustix::fs::statvfs(existing).ok()?;
    Some(numbers.f_bavail.saturating_mul(numbers.f_frsize) / 1_000_000)
}

/// The command that installs Debian packages.
fn install_command(packages: &[&str]) -> Argv {
    Argv::new("apt-get")
        .args(["install", "--yes", "--no-install-recommends"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
}

/// Installs the Debian packages that bring what is missing. The caller has asked the person before.
pub async fn install(missing: &[Requirement], progress: Progress<'_>) -> Result<(), LabError> {
    let mut packages: Vec<&str> = missing
        .iter()
        .filter_map(|requirement| requirement.package)
        .collect();
    packages.sort_unstable();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    progress(&format!("Installing {}", packages.join(", ")));
    let argv = install_command(&packages);
    let next = "look at what apt says, mend it and try again";
    if argv.run("installing what the lab needs", next).await.is_err() {
        progress("Refreshing the package lists first");
        Argv::new("apt-get")
            .arg("update")
            .run("refreshing the package lists", next)
            .await?;
        argv.run("installing what the lab needs", next).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_names_its_package() {
        let requirement = Requirement {
            what: "the program nft".into(),
            package: Some("nftables"),
        };
        assert_eq!(requirement.to_string(), "the program nft (package nftables)");
    }

    #[test]
    fn packages_are_arguments() {
        assert_eq!(
            install_command(&["nftables"]).line(),
            "apt-get install --yes --no-install-recommends nftables"
        );
    }

    #[test]
    fn free_space_of_a_folder_to_come_is_that_of_its_parent() {
        assert!(free_mb(Path::new("/does/not/exist")).is_some());
    }
}
