//! One practice host: its folder, its files, its boot.
//!
//! `hosts/practice1/` holds `keys/` (host keys, kept over a reset), `disk/` (the overlay's own layers, on a disk of its own
//! size if wanted) and `root/` (where the overlay is mounted).

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::command::{Argv, last_lines};
use super::error::LabError;
use super::files::{read, write_files};
use super::mounts;
use super::registry::{HostRecord, Names, Registry, host_name};

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
        let file = fs::OpenOptions::new().write(true).open(&lock);
        // nspawn takes such locks with fcntl; one that is held is in use.
        let free =
            |file: &fs::File| rustix::fs::fcntl_lock(file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if file.is_ok_and(|file| free(&file)) {
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
