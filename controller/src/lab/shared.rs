//! What all labs of one machine share: who has which subnet, and whether forwarding was off before the first of them came.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::LabError;
use super::network::Subnet;
use super::registry::{Lock, Names, write_atomically};

const SHARED: &str = "/run/allmende-lab";
const FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

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
                shared.forward(false)?;
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

    /// Switches forwarding on and remembers that it was off, or puts it back when the lab had switched it on.
    pub fn forward(&self, on: bool) -> Result<(), LabError> {
        let path = Path::new(FORWARD);
        let mark = Path::new(SHARED).join("forwarding-was-off");
        let is_on = fs::read_to_string(path)
            .map_err(LabError::file("reading", path))?
            .trim()
            == "1";
        if on && !is_on {
            write_atomically(&mark, b"", 0o600)?;
            fs::write(path, "1").map_err(LabError::file("switching forwarding on in", path))?;
        }
        if !on && mark.exists() {
            fs::write(path, "0").map_err(LabError::file("switching forwarding off in", path))?;
            fs::remove_file(&mark).map_err(LabError::file("removing", &mark))?;
        }
        Ok(())
    }

    /// Removes the folder, which nobody uses any more.
    fn remove(self) {
        let _ = fs::remove_dir_all(SHARED);
    }
}
