//! One practice host: its folder, its files, its boot.
//!
//! `hosts/practice1/` holds `keys/` (host keys, kept over a reset), `disk/` (the overlay's own layers, on a disk of its own
//! size if wanted) and `root/` (where the overlay is mounted).

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::command::{Argv, last_lines};
use super::error::LabError;
use super::registry::{HostRecord, Names, Registry, host_name};
use super::{DOMAIN, mounts, sources};

/// Finds the lab and the number that belong to a host's folder.
pub(super) fn from_folder(folder: &Path) -> Result<(Names, u32), LabError> {
    let refused = || LabError::Refused(format!("{} is no practice host's folder", folder.display()));
    let number = folder
        .file_name()
        .and_then(|n| n.to_str()?.strip_prefix("practice")?.parse().ok())
        .ok_or_else(refused)?;
    let directory = folder
        .parent()
        .filter(|hosts| hosts.ends_with("hosts"))
        .and_then(Path::parent)
        .ok_or_else(refused)?;
    let names = Names::new(directory.to_path_buf());
    if names.host(number) == folder && names.record().exists() {
        Ok((names, number))
    } else {
        Err(refused())
    }
}

/// The command that boots a host.
pub(super) fn nspawn_command(names: &Names, number: u32, under_systemd: bool, unified: bool) -> Argv {
    let mut argv = Argv::new("systemd-nspawn").args(["--quiet", "--register=no"]);
    if !under_systemd {
        argv = argv.arg("--keep-unit");
    }
    argv = argv
        .arg(format!("--machine={}", names.machine(number)))
        .arg(format!("--hostname={}", host_name(number)))
        .arg(format!(
            "--directory={}",
            names.host(number).join("root").display()
        ))
        .arg(format!("--network-bridge={}", names.bridge()))
        // Nothing of this machine shows inside, and nothing of the host outside.
        .args([
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
            "--boot",
        ]);
    if unified {
        argv.env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
    } else {
        argv
    }
}

/// The command that mounts a host's overlay.
fn overlay_command(folder: &Path, base: &Path) -> Argv {
    let disk = folder.join("disk");
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        base.display(),
        disk.join("upper").display(),
        disk.join("work").display()
    );
    Argv::new("mount")
        .args(["-t", "overlay", "overlay", "-o", &options])
        .arg(folder.join("root"))
}

/// The command that gives a host a disk of its own size, in memory.
fn disk_command(folder: &Path, megabytes: u64) -> Argv {
    let options = format!("size={megabytes}m,mode=0755");
    Argv::new("mount")
        .args(["-t", "tmpfs", "allmende-lab", "-o", &options])
        .arg(folder.join("disk"))
}

/// Makes a host's folder and files, or mounts what a restart of the machine has unmounted.
pub(super) async fn prepare(names: &Names, number: u32, registry: &Registry) -> Result<(), LabError> {
    let Some(record) = registry.hosts.get(&number) else {
        return Ok(());
    };
    let folder = names.host(number);
    let next = "see `dmesg`; if the folder's file system cannot carry an overlay, use a data directory on ext4 or xfs";
    for name in ["keys", "disk", "root"] {
        let path = folder.join(name);
        fs::create_dir_all(&path).map_err(LabError::file("making", &path))?;
    }
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .map_err(LabError::file("setting the mode of", path))
    };
    mode(&folder, 0o700)?;
    make_keys(names, number, record).await?;
    if !record.base.is_dir() {
        return Err(LabError::Refused(format!(
            "the base image of {} is gone; make the host anew with `lab reset {0}`",
            host_name(number)
        )));
    }
    if let (Some(megabytes), false) = (record.disk_mb, mounts::is_mounted(&folder.join("disk"))) {
        disk_command(&folder, megabytes)
            .run("giving the host its own small disk", "see `dmesg`")
            .await?;
    }
    for name in ["upper", "work"] {
        let path = folder.join("disk").join(name);
        fs::create_dir_all(&path).map_err(LabError::file("making", &path))?;
        mode(&path, 0o755)?;
    }
    if !mounts::is_mounted(&folder.join("root")) {
        overlay_command(&folder, &record.base)
            .run("mounting the host's file system", next)
            .await?;
    }
    write_files(names, number, registry, record)
}

async fn make_keys(names: &Names, number: u32, record: &HostRecord) -> Result<(), LabError> {
    let keys = names.host(number).join("keys");
    let key = keys.join("ssh_host_ed25519_key");
    if !key.exists() || !key.with_extension("pub").exists() {
        make_key(&key, &format!("root@{}", host_name(number))).await?;
    }
    let public = read(&key.with_extension("pub"))?;
    let known = format!("{} {}", record.address, public);
    fs::write(keys.join("known_hosts"), known).map_err(LabError::file("writing", &keys))
}

/// Makes an ed25519 key pair; a killed command leaves no half of one.
pub(super) async fn make_key(path: &Path, comment: &str) -> Result<(), LabError> {
    let new = path.with_file_name("new_key");
    for old in [
        new.clone(),
        new.with_extension("pub"),
        path.to_path_buf(),
        path.with_extension("pub"),
    ] {
        let _ = fs::remove_file(old);
    }
    let argv = Argv::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"])
        .arg(&new);
    argv.run("making an SSH key", "install the package openssh-client")
        .await?;
    fs::rename(new.with_extension("pub"), path.with_extension("pub"))
        .map_err(LabError::file("writing", path))?;
    fs::rename(&new, path).map_err(LabError::file("writing", path))
}

/// The files that make this host this host, written through the mounted overlay before it boots.
fn write_files(names: &Names, number: u32, registry: &Registry, record: &HostRecord) -> Result<(), LabError> {
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

fn read(path: &Path) -> Result<String, LabError> {
    fs::read_to_string(path).map_err(LabError::file("reading", path))
}

/// The fingerprint of a host's key, as `ssh-keygen -l` shows it.
pub(super) fn fingerprint(names: &Names, number: u32) -> Option<String> {
    let text = fs::read_to_string(names.host(number).join("keys/ssh_host_ed25519_key.pub")).ok()?;
    fingerprint_of(&text)
}

fn fingerprint_of(public: &str) -> Option<String> {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
    let key = STANDARD.decode(public.split_whitespace().nth(1)?).ok()?;
    Some(format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(key))))
}

/// Whether a host's sshd answers within a moment.
pub(super) async fn answers(record: &HostRecord) -> bool {
    let greeting = async {
        let mut stream = TcpStream::connect((record.address, 22)).await?;
        let mut begin = [0; 4];
        stream.read_exact(&mut begin).await?;
        // Without a greeting, sshd would log an error, and fail2ban could count it.
        stream.write_all(b"SSH-2.0-allmende\r\n").await?;
        Ok::<bool, io::Error>(&begin == b"SSH-")
    };
    matches!(
        tokio::time::timeout(Duration::from_millis(400), greeting).await,
        Ok(Ok(true))
    )
}

/// The command that waits on the host until systemd has finished starting.
fn ready_command(names: &Names, number: u32, record: &HostRecord) -> Argv {
    let known = names.host(number).join("keys/known_hosts");
    Argv::new("ssh")
        .args([
            "-F",
            "/dev/null",
            "-o",
            "BatchMode=yes",
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "ConnectTimeout=5",
            "-o",
            "LogLevel=ERROR",
        ])
        .args([
            "-o",
            "StrictHostKeyChecking=yes",
            "-o",
            "GlobalKnownHostsFile=/dev/null",
        ])
        .args(["-o", &format!("UserKnownHostsFile=\"{}\"", known.display()), "-i"])
        .arg(names.key())
        .arg(format!("root@{}", record.address))
        .args(["systemctl", "is-system-running", "--wait"])
}

/// Waits until a host is up: sshd answers and systemd has finished starting.
pub(super) async fn wait_until_up(
    names: &Names,
    number: u32,
    record: &HostRecord,
    mut keeper: Option<&mut tokio::process::Child>,
    patience: Duration,
) -> Result<Duration, LabError> {
    let begin = Instant::now();
    let mut reason = "its SSH server does not answer".to_string();
    while begin.elapsed() < patience {
        if let Some(Ok(Some(status))) = keeper.as_mut().map(|keeper| keeper.try_wait()) {
            reason = format!("it ended at once ({status})");
            break;
        }
        if answers(record).await {
            match tokio::time::timeout(
                Duration::from_secs(20),
                ready_command(names, number, record).output(),
            )
            .await
            {
                Ok(Ok((state, _))) if ["running", "degraded"].contains(&state.trim()) => {
                    return Ok(begin.elapsed());
                }
                Ok(Ok((state, said))) => {
                    reason = format!("systemd on it says {:?} {}", state.trim(), said.trim())
                }
                Ok(Err(error)) => reason = error.to_string(),
                Err(_) => reason = "systemd on it does not finish starting".into(),
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let log = names.log(number);
    let tail = last_lines(&String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()), 15);
    Err(LabError::NotUp {
        name: host_name(number),
        reason,
        log,
        tail,
    })
}

/// What nspawn leaves in its runtime folder when it ends, above all when it was killed.
pub(super) fn clear_runtime(names: &Names, number: u32) {
    let runtime = Path::new("/run/systemd/nspawn");
    for folder in ["propagate", "unix-export"] {
        let _ = fs::remove_dir(runtime.join(folder).join(names.machine(number)));
    }
    let root = names.host(number).join("root");
    if let Ok(numbers) = fs::metadata(&root) {
        let lock = runtime.join(format!("locks/inode-{}:{}", numbers.dev(), numbers.ino()));
        if fs::File::open(&lock).is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = fs::remove_file(lock);
        }
    }
}

/// Throws a host's files away; its keys stay if wanted. The host does not run.
pub(super) async fn remove(names: &Names, number: u32, keep_keys: bool) -> Result<(), LabError> {
    let folder = names.host(number);
    clear_runtime(names, number);
    mounts::unmount_beneath(&folder).await?;
    let parts: Vec<PathBuf> = if keep_keys {
        vec![folder.join("disk"), folder.join("root")]
    } else {
        vec![folder]
    };
    for part in parts {
        remove_tree(&part).await?;
    }
    Ok(())
}

/// Removes a folder with everything in it, unless something is still mounted there.
pub(super) async fn remove_tree(folder: &Path) -> Result<(), LabError> {
    if let Some(point) = mounts::beneath(folder).first() {
        return Err(LabError::Remains(format!("a mount on {}", point.display())));
    }
    let path = folder.to_path_buf();
    let removed = tokio::task::spawn_blocking(move || fs::remove_dir_all(path))
        .await
        .unwrap_or_else(|e| Err(io::Error::other(e)));
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(LabError::file("removing", folder)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "host_tests.rs"]
mod tests;
