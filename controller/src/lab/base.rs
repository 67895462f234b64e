//! The base images: one installed Debian per release, built once, shared by all hosts of all labs, never changed.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::command::Argv;
use super::error::LabError;
use super::recipe::{Recipe, entries, is_builder};
use super::sources::{self, Release};
use super::{CACHE, Progress, mounts, processes};

/// An image older than this has package lists that name packages which the mirror no longer has.
const OLDEST: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Where an image is while it is not complete.
fn unfinished(release: Release) -> PathBuf {
    Path::new(CACHE).join(format!("building-debian-{}", release.number))
}

/// Gives the image for a release, building it when there is none or it is too old.
pub(super) async fn provide(release: Release, progress: Progress<'_>) -> Result<PathBuf, LabError> {
    let recipe = Recipe::of_machine(release).await?;
    let cache = Path::new(CACHE);
    fs::create_dir_all(cache).map_err(LabError::file("making the cache folder", cache))?;
    if let Some(image) = newest(&recipe.name()) {
        return Ok(image);
    }
    let _lock = BuildLock::wait(release, progress).await?;
    // Another lab may have built it in the meantime.
    if let Some(image) = newest(&recipe.name()) {
        return Ok(image);
    }
    clear(release).await?;
    progress(&format!(
        "Building the Debian {} base image (about a minute, once)",
        release.number
    ));
    let image = build(&recipe).await?;
    remove_unused(&format!("debian-{}-", release.number), &image).await;
    Ok(image)
}

/// The newest image of a recipe that is young enough.
fn newest(name: &str) -> Option<PathBuf> {
    let prefix = format!("{name}-");
    let images = entries(Path::new(CACHE)).into_iter().rev();
    let age = |path: &PathBuf| {
        let built: i64 = path.file_name()?.to_str()?.strip_prefix(&prefix)?.parse().ok()?;
        Some(Timestamp::now().duration_since(Timestamp::from_second(built).ok()?))
    };
    images
        .filter(|path| age(path).is_some_and(|age| age < OLDEST))
        .max_by_key(|path| path.file_name().map(|n| n.to_os_string()))
}

async fn build(recipe: &Recipe) -> Result<PathBuf, LabError> {
    let work = unfinished(recipe.release);
    let root = work.join("root");
    fs::create_dir_all(&root).map_err(LabError::file("making", &root))?;
    let (source_file, settings_file) = (work.join("debian.sources"), work.join("settings.conf"));
    write(&source_file, &recipe.sources, 0o644)?;
    write(&settings_file, &recipe.settings, 0o644)?;
    let next = "see whether `apt-get update` works on this machine; for a release that is newer than the machine, bring the package debian-archive-keyring up to date";
    recipe
        .command(&root, &source_file, &settings_file)
        .run("building the base image", next)
        .await?;
    finish(&root, recipe).await?;
    // The name ends with the time, so that an image with fresh package lists can stand beside an old one in use.
    let image = Path::new(CACHE).join(format!("{}-{}", recipe.name(), Timestamp::now().as_second()));
    fs::rename(&root, &image).map_err(LabError::file("completing the base image", &image))?;
    remove(&work).await?;
    Ok(image)
}

/// Turns what the installer left into the image of a server.
async fn finish(root: &Path, recipe: &Recipe) -> Result<(), LabError> {
    let etc = root.join("etc");
    for path in entries(&etc.join("apt/sources.list.d")).into_iter().chain([
        etc.join("apt/sources.list"),
        etc.join("apt/apt.conf.d/99mmdebstrap"),
    ]) {
        let _ = fs::remove_file(path);
    }
    write(
        &etc.join("apt/sources.list.d/debian.sources"),
        &recipe.sources,
        0o644,
    )?;
    if !recipe.settings.is_empty() {
        write(&etc.join("apt/apt.conf.d/90lab"), &recipe.settings, 0o644)?;
    }
    for file in &recipe.files {
        let copy = root.join(file.strip_prefix("/").unwrap_or(file));
        if let Some(parent) = copy.parent() {
            fs::create_dir_all(parent).map_err(LabError::file("making", parent))?;
        }
        fs::copy(file, &copy).map_err(LabError::file("copying into the base image", file))?;
    }
    // Each host gets its own: nobody shall share keys or an identity with another host.
    for key in entries(&etc.join("ssh"))
        .iter()
        .filter(|p| p.to_string_lossy().contains("/ssh_host_"))
    {
        fs::remove_file(key).map_err(LabError::file("removing", key))?;
    }
    for name in ["machine-id", "hostname", "resolv.conf"] {
        write(&etc.join(name), "", 0o644)?;
    }
    write(&etc.join("default/locale"), "LANG=C.UTF-8\n", 0o644)?;
    fs::set_permissions(root, fs::Permissions::from_mode(0o755)).map_err(LabError::file("opening", root))?;
    let next = "remove the image with `lab down --purge` and try again";
    let systemctl = |words: &[&str]| {
        Argv::new("systemctl")
            .arg(format!("--root={}", root.display()))
            .args(words)
    };
    systemctl(&["--quiet", "enable", "systemd-networkd.service", "ssh.service"])
        .run("preparing the base image", next)
        .await?;
    // apt's timers would lock the package database in the middle of an exercise or a test. They are switched off and not
    // masked: what sets unattended upgrades up on a host can switch them on again, as on any server.
    systemctl(&["--quiet", "disable", "apt-daily.timer", "apt-daily-upgrade.timer"])
        .run("preparing the base image", next)
        .await?;
    if recipe
        .files
        .iter()
        .any(|file| file.starts_with("/usr/local/share/ca-certificates"))
    {
        let update = Argv::new("chroot").arg(root).arg("update-ca-certificates");
        update
            .run("adding this machine's certificate authorities", next)
            .await?;
    }
    Ok(())
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), LabError> {
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(path)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())
    };
    write().map_err(LabError::file("writing", path))
}

/// Takes away what a build left that was killed: its processes, its mounts, its folder.
async fn clear(release: Release) -> Result<(), LabError> {
    let folder = unfinished(release);
    let prefix = format!("{}/", folder.display());
    for _ in 0..100 {
        let builders: Vec<i32> = all_pids()
            .into_iter()
            .filter(|pid| signal_builder(*pid, &prefix))
            .collect();
        if builders.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    if folder.exists() {
        mounts::unmount_beneath(&folder).await?;
        remove(&folder).await?;
    }
    Ok(())
}

fn all_pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

/// Ends a process if it is a builder of the image in this folder.
fn signal_builder(pid: i32, folder: &str) -> bool {
    let Some(handle) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
        return false;
    };
    let arguments = processes::command_line(pid);
    let ours = is_builder(&arguments, folder);
    if ours {
        let _ = pidfd_send_signal(&handle, Signal::KILL);
    }
    ours
}

async fn remove(folder: &Path) -> Result<(), LabError> {
    let path = folder.to_path_buf();
    let removed = tokio::task::spawn_blocking(move || fs::remove_dir_all(path))
        .await
        .unwrap_or_else(|e| Err(std::io::Error::other(e)));
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(LabError::file("removing", folder)(error))
        }
        _ => Ok(()),
    }
}

/// Removes images whose name begins so, except one, as far as no host stands on them.
async fn remove_unused(prefix: &str, keep: &Path) {
    let used = mounts::lower_layers();
    for image in entries(Path::new(CACHE)) {
        let name = image
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.starts_with(prefix) && image != keep && !used.contains(&image) && image.is_dir() {
            // A leftover costs space and nothing else; the next build tries again.
            let _ = remove(&image).await;
        }
    }
}

/// Clears builds that nobody works on any more.
pub(super) async fn clear_leftovers() -> Result<(), LabError> {
    for release in sources::RELEASES {
        if !unfinished(release).exists() {
            continue;
        }
        if let Some(_lock) = BuildLock::try_take(release)? {
            clear(release).await?;
        }
    }
    Ok(())
}

/// Removes all images that no host stands on, and the cache folder when it is empty. Gives back those in use.
pub(super) async fn purge() -> Result<Vec<PathBuf>, LabError> {
    let cache = Path::new(CACHE);
    clear_leftovers().await?;
    remove_unused("debian-", Path::new("")).await;
    let kept: Vec<PathBuf> = entries(cache).into_iter().filter(|path| path.is_dir()).collect();
    if kept.is_empty() && cache.exists() {
        remove(cache).await?;
        if let Some(parent) = cache.parent() {
            // Others may keep things there.
            let _ = fs::remove_dir(parent);
        }
    }
    Ok(kept)
}

/// At most one build per release on the machine.
struct BuildLock {
    _file: File,
}

impl BuildLock {
    fn try_take(release: Release) -> Result<Option<BuildLock>, LabError> {
        let path = Path::new(CACHE).join(format!("debian-{}.lock", release.number));
        let open = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        let file = open.map_err(LabError::file("opening the lock", &path))?;
        Ok(file.try_lock().is_ok().then_some(BuildLock { _file: file }))
    }

    async fn wait(release: Release, progress: Progress<'_>) -> Result<BuildLock, LabError> {
        let mut said = false;
        loop {
            if let Some(lock) = BuildLock::try_take(release)? {
                return Ok(lock);
            }
            if !std::mem::replace(&mut said, true) {
                progress(&format!(
                    "Waiting for another lab that builds the Debian {} base image",
                    release.number
                ));
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
}
