//! The files on a host that make it this host: its name, its network, its keys, its neighbours.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::error::LabError;
use super::registry::{HostRecord, Names, Registry, host_name};
use super::{DOMAIN, sources};

/// The files that make this host this host, written through the mounted overlay before it boots.
pub(super) fn write_files(
    names: &Names,
    number: u32,
    registry: &Registry,
    record: &HostRecord,
) -> Result<(), LabError> {
    let root = names.host(number).join("root");
    let keys = names.host(number).join("keys");
    write_hosts(&root, registry, number)?;
    let etc = open_inside(&root, "etc")?;
    if read_inside(&etc, "machine-id").is_some_and(|id| !id.trim().is_empty()) {
        return Ok(()); // It has booted before: what a trainee did to it stays.
    }
    let network = format!(
        "[Match]\nName=host0\n\n[Network]\nAddress={}/24\nGateway={}\nLinkLocalAddressing=ipv6\nIPv6AcceptRA=no\n",
        record.address,
        registry.subnet.gateway()
    );
    write_inside(
        &open_inside(&root, "etc/systemd/network")?,
        "50-lab.network",
        &network,
        0o644,
    )?;
    let ssh = open_inside(&root, "etc/ssh")?;
    write_inside(
        &ssh,
        "ssh_host_ed25519_key",
        &read(&keys.join("ssh_host_ed25519_key"))?,
        0o600,
    )?;
    write_inside(
        &ssh,
        "ssh_host_ed25519_key.pub",
        &read(&keys.join("ssh_host_ed25519_key.pub"))?,
        0o644,
    )?;
    let home = open_inside(&root, "root")?;
    match rustix::fs::mkdirat(&home, ".ssh", Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => {
            return Err(LabError::file("making", &root.join("root/.ssh"))(error.into()));
        }
    }
    let mut authorized = read(&names.key().with_extension("pub"))?;
    for key in &record.authorized_keys {
        authorized.push_str(&format!("{}\n", key.trim()));
    }
    write_inside(
        &open_inside(&root, "root/.ssh")?,
        "authorized_keys",
        &authorized,
        0o600,
    )?;
    let apt = open_inside(&root, "etc/apt")?;
    for (folder, name) in [("sources.list.d", "debian.sources"), ("apt.conf.d", "90lab")] {
        let folder = open_inside(&root, &format!("etc/apt/{folder}"))?;
        let gateway = registry.subnet.gateway().to_string();
        if let Some(text) = read_inside(&folder, name).and_then(|text| sources::reachable(&text, &gateway)) {
            write_inside(&folder, name, &text, 0o644)?;
        }
    }
    drop(apt);
    write_inside(&etc, "resolv.conf", &resolver()?, 0o644)?;
    write_inside(&etc, "hostname", &format!("{}\n", host_name(number)), 0o644)?;
    let id = fs::read_to_string("/proc/sys/kernel/random/uuid").map_err(LabError::file(
        "reading",
        Path::new("/proc/sys/kernel/random/uuid"),
    ))?;
    // Last: it says that everything before it is there.
    write_inside(&etc, "machine-id", &id.replace('-', ""), 0o444)
}

const BEGIN: &str = "# practice hosts: begin (written by allmende lab)";
const END: &str = "# practice hosts: end";

/// The part of `/etc/hosts` that the lab writes: everybody by name, also the host itself.
fn hosts_block(registry: &Registry, own: u32) -> String {
    let line = |(number, record): (&u32, &HostRecord)| {
        let name = host_name(*number);
        format!("{} {name}.{DOMAIN} {name}\n", record.address)
    };
    // A host's own line comes first, so that its address leads back to its own name.
    let (mine, others): (Vec<_>, Vec<_>) = registry.hosts.iter().partition(|(number, _)| **number == own);
    let lines: String = mine.into_iter().chain(others).map(line).collect();
    format!("{BEGIN}\n127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n{lines}{END}\n")
}

/// Puts the lab's part into an existing `/etc/hosts`, leaving everything else as it is.
fn merge_hosts(existing: &str, block: &str) -> String {
    let before = existing.split_once(BEGIN).map(|(before, _)| before);
    let after = existing
        .split_once(END)
        .map(|(_, after)| after.trim_start_matches('\n'));
    match (before, after) {
        (Some(before), Some(after)) => format!("{before}{block}{after}"),
        _ => {
            let others = existing
                .lines()
                .filter(|line| !line.trim().is_empty() && !line.split_whitespace().any(|w| w == "localhost"));
            format!(
                "{block}{}",
                others.map(|line| format!("{line}\n")).collect::<String>()
            )
        }
    }
}

/// Brings `/etc/hosts` of a host up to date, also while it runs.
pub(super) fn write_hosts(root: &Path, registry: &Registry, own: u32) -> Result<(), LabError> {
    let etc = open_inside(root, "etc")?;
    let existing = read_inside(&etc, "hosts").unwrap_or_default();
    let merged = merge_hosts(&existing, &hosts_block(registry, own));
    if merged == existing {
        Ok(())
    } else {
        write_inside(&etc, "hosts", &merged, 0o644)
    }
}

/// The name servers that hosts can use: those of this machine that are not only for itself.
fn resolver() -> Result<String, LabError> {
    let text = |path| fs::read_to_string(path).unwrap_or_default();
    // systemd-resolved listens on this machine only and keeps the real servers here.
    let files = [text("/etc/resolv.conf"), text("/run/systemd/resolve/resolv.conf")];
    files.iter().find_map(|text| name_servers(text)).ok_or_else(|| {
        LabError::Refused("this machine's name server listens only on the machine itself, so practice hosts cannot ask it; name one that they can reach in /etc/resolv.conf".into())
    })
}

fn name_servers(text: &str) -> Option<String> {
    let servers = text.lines().filter(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some("nameserver")
            && words
                .next()
                .and_then(|a| a.parse::<std::net::IpAddr>().ok())
                .is_some_and(|a| a.is_ipv4() && !a.is_loopback())
    });
    let kept: String = servers.map(|line| format!("{}\n", line.trim())).collect();
    (!kept.is_empty()).then_some(kept)
}

/// Opens a folder of a host. A host's own links are never followed: they could lead out of it.
fn open_inside(root: &Path, folder: &str) -> Result<rustix::fd::OwnedFd, LabError> {
    let opened = rustix::fs::open(
        root,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .and_then(|root| {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        rustix::fs::openat2(
            &root,
            folder,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        )
    });
    opened.map_err(|error| LabError::file("opening", &root.join(folder))(error.into()))
}

fn read_inside(folder: &rustix::fd::OwnedFd, name: &str) -> Option<String> {
    // Not blocking: it could be a pipe.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = fs::File::from(rustix::fs::openat(folder, name, flags, Mode::empty()).ok()?);
    let mut text = String::new();
    file.take(1 << 20).read_to_string(&mut text).ok()?;
    Some(text)
}

fn write_inside(folder: &rustix::fd::OwnedFd, name: &str, text: &str, mode: u32) -> Result<(), LabError> {
    let temporary = format!(".{name}.lab");
    let write = || -> io::Result<()> {
        let _ = rustix::fs::unlinkat(folder, &temporary, rustix::fs::AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = fs::File::from(rustix::fs::openat(
            folder,
            &temporary,
            flags,
            Mode::from_raw_mode(mode),
        )?);
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())?;
        rustix::fs::renameat(folder, &temporary, folder, name)?;
        Ok(())
    };
    write().map_err(LabError::file("writing on the practice host", Path::new(name)))
}

pub(super) fn read(path: &Path) -> Result<String, LabError> {
    fs::read_to_string(path).map_err(LabError::file("reading", path))
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
