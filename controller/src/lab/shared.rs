//! What all labs of one machine share: who has which subnet, and what the machine's settings were before the first of
//! them came.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::LabError;
use super::network::Subnet;
use super::registry::{Lock, Names, write_atomically};

const SHARED: &str = "/run/allmende-lab";

/// Settings of the kernel that practice hosts need at least; they are put back when the last lab goes.
const SETTINGS: [(&str, u64); 2] = [
    // The way from the bridge to the package mirror.
    ("net/ipv4/ip_forward", 1),
    // Each systemd takes a dozen; the usual 128 are used up by about ten hosts.
    ("fs/inotify/max_user_instances", 8192),
];

/// The folder that all labs of the machine share, locked for a moment.
pub(super) struct Shared {
    _lock: Lock,
}

#[derive(Serialize, Deserialize)]
struct Claim {
    directory: PathBuf,
    subnet: Subnet,
}

impl Shared {
    /// Takes the lock, which is held for some milliseconds only.
    pub async fn open() -> Result<Shared, LabError> {
        let path = Path::new(SHARED);
        for _ in 0..200 {
            fs::create_dir_all(path).map_err(LabError::file("making", path))?;
            match Lock::take(&path.join("lock"), "the lab's network") {
                Ok(lock) => return Ok(Shared { _lock: lock }),
                // Held for some milliseconds only, or removed together with its folder a moment ago.
                Err(LabError::Busy { .. } | LabError::File { .. }) => {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await
                }
                Err(error) => return Err(error),
            }
        }
        Lock::take(&path.join("lock"), "the lab's network").map(|lock| Shared { _lock: lock })
    }

    /// The subnets of other labs that still exist.
    pub fn claims(&self, names: &Names) -> Vec<Subnet> {
        let Ok(entries) = fs::read_dir(SHARED) else {
            return Vec::new();
        };
        let files = entries
            .filter_map(|e| Some(e.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|e| e == "json"));
        let claims =
            files.filter_map(|path| serde_json::from_str::<Claim>(&fs::read_to_string(path).ok()?).ok());
        claims
            .filter(|c| c.directory != names.directory && c.directory.join("lab.json").exists())
            .map(|c| c.subnet)
            .collect()
    }

    /// Writes down that a lab has a subnet.
    pub fn claim(&self, names: &Names, subnet: Subnet) -> Result<(), LabError> {
        let path = Path::new(SHARED).join(format!("{}.json", names.id));
        let claim = Claim {
            directory: names.directory.clone(),
            subnet,
        };
        let text = serde_json::to_string(&claim).map_err(|e| LabError::Registry {
            path: path.clone(),
            reason: e.to_string(),
        })?;
        write_atomically(&path, text.as_bytes(), 0o600)
    }

    /// Forgets a lab; the last one puts everything back.
    pub async fn leave(names: &Names) -> Result<(), LabError> {
        if Path::new(SHARED).exists() {
            let shared = Shared::open().await?;
            shared.release(names)?;
            if shared.claims(names).is_empty() {
                shared.restore_settings()?;
                shared.remove();
            }
        }
        Ok(())
    }

    fn release(&self, names: &Names) -> Result<(), LabError> {
        let path = Path::new(SHARED).join(format!("{}.json", names.id));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(LabError::file("removing", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Raises the settings that are too low, having remembered what they were.
    pub fn raise_settings(&self) -> Result<(), LabError> {
        for (name, least) in SETTINGS {
            let path = Path::new("/proc/sys").join(name);
            let before = read_number(&path)?;
            if before < least {
                let mark = mark(name);
                if !mark.exists() {
                    write_atomically(&mark, before.to_string().as_bytes(), 0o600)?;
                }
                fs::write(&path, least.to_string()).map_err(LabError::file("setting", &path))?;
            }
        }
        Ok(())
    }

    /// Puts the settings back, unless somebody else has changed them since.
    fn restore_settings(&self) -> Result<(), LabError> {
        for (name, least) in SETTINGS {
            let (path, mark) = (Path::new("/proc/sys").join(name), mark(name));
            if mark.exists() {
                if read_number(&path)? == least {
                    let before = read_number(&mark)?;
                    fs::write(&path, before.to_string()).map_err(LabError::file("setting", &path))?;
                }
                fs::remove_file(&mark).map_err(LabError::file("removing", &mark))?;
            }
        }
        Ok(())
    }

    /// Removes the folder, which nobody uses any more.
    fn remove(self) {
        let _ = fs::remove_dir_all(SHARED);
    }
}

/// Where it is written what a setting was.
fn mark(name: &str) -> PathBuf {
    Path::new(SHARED).join(format!("{}.before", name.replace('/', ".")))
}

fn read_number(path: &Path) -> Result<u64, LabError> {
    let text = fs::read_to_string(path).map_err(LabError::file("reading", path))?;
    let odd = |_| std::io::Error::other(format!("{:?} is no number", text.trim()));
    text.trim()
        .parse()
        .map_err(odd)
        .map_err(LabError::file("reading", path))
}
