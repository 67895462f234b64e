//! What the lab has made or is about to make, written down before it is made; and the lock that keeps two commands apart.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::LabError;
use super::network::Subnet;

/// The version of the record that this program writes.
const FORMAT: u32 = 1;

/// The names of everything that a lab makes on the machine. They all carry the lab's id, which comes from its folder, so
/// that leftovers can be found without the record and never belong to another lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    pub directory: PathBuf,
    pub id: String,
}

impl Names {
    /// The names for a lab in this folder (absolute, links resolved).
    pub fn new(directory: PathBuf) -> Names {
        use std::os::unix::ffi::OsStrExt;
        let hash = Sha256::digest(directory.as_os_str().as_bytes());
        let id = hash.iter().take(3).map(|byte| format!("{byte:02x}")).collect();
        Names { directory, id }
    }

    /// The bridge. An interface name has at most 15 characters; nspawn's `vb-` and the machine's name must fit too.
    pub fn bridge(&self) -> String {
        format!("al{}", self.id)
    }

    /// The nftables table.
    pub fn table(&self) -> String {
        format!("allmende_lab_{}", self.id)
    }

    /// The machine name of a host.
    pub fn machine(&self, number: u32) -> String {
        format!("{}-{number}", self.bridge())
    }

    /// The host's network interface on this machine's side.
    pub fn interface(&self, number: u32) -> String {
        format!("vb-{}", self.machine(number))
    }

    /// The folder with a folder for each host.
    pub fn hosts(&self) -> PathBuf {
        self.directory.join("hosts")
    }

    /// The folder of one host.
    pub fn host(&self, number: u32) -> PathBuf {
        self.hosts().join(host_name(number))
    }

    /// A host's console log.
    pub fn log(&self, number: u32) -> PathBuf {
        self.directory
            .join("logs")
            .join(format!("{}.log", host_name(number)))
    }

    /// The lab's own private key.
    pub fn key(&self) -> PathBuf {
        self.directory.join("id_ed25519")
    }

    /// The record.
    pub fn record(&self) -> PathBuf {
        self.directory.join("lab.json")
    }

    /// The lock.
    pub fn lock(&self) -> PathBuf {
        self.directory.join("lock")
    }
}

/// The name of the host with this number.
pub(super) fn host_name(number: u32) -> String {
    format!("practice{number}")
}

/// What a lab consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Registry {
    pub format: u32,
    pub subnet: Subnet,
    pub hosts: BTreeMap<u32, HostRecord>,
}

/// What is known of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HostRecord {
    pub release: String,
    pub address: Ipv4Addr,
    pub base: PathBuf,
    pub disk_mb: Option<u64>,
    pub authorized_keys: Vec<String>,
    /// False from before the folder is made until the host came up once.
    pub made: bool,
    /// When it was started last.
    pub started: Option<Timestamp>,
}

impl Registry {
    /// An empty lab in this subnet.
    pub fn new(subnet: Subnet) -> Registry {
        Registry {
            format: FORMAT,
            subnet,
            hosts: BTreeMap::new(),
        }
    }

    /// Reads the record; `None` when there is no lab.
    pub fn load(path: &Path) -> Result<Option<Registry>, LabError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LabError::file("reading", path)(error)),
        };
        let registry: Registry = serde_json::from_str(&text).map_err(|e| LabError::Registry {
            path: path.to_path_buf(),
            reason: e.to_string(),
        })?;
        if registry.format != FORMAT {
            let reason = format!(
                "it has format {}, this program knows format {FORMAT}",
                registry.format
            );
            return Err(LabError::Registry {
                path: path.to_path_buf(),
                reason,
            });
        }
        Ok(Some(registry))
    }

    /// Writes the record so that a reader finds either the old or the new one.
    pub fn save(&self, path: &Path) -> Result<(), LabError> {
        let text = serde_json::to_string_pretty(self).map_err(|e| LabError::Registry {
            path: path.to_path_buf(),
            reason: e.to_string(),
        })?;
        write_atomically(path, text.as_bytes(), 0o600)
    }
}

/// Writes a file under a temporary name and renames it. It does not wait for the disk, which can take seconds: after a power
/// cut there are no hosts to be found by the record, and `lab down` finds their folders without it.
pub(super) fn write_atomically(path: &Path, content: &[u8], mode: u32) -> Result<(), LabError> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    let temporary = path.with_file_name(name);
    let failed = LabError::file("writing", path);
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&temporary)?;
        file.write_all(content)?;
        fs::rename(&temporary, path)
    };
    write().map_err(failed)
}

/// The lab's lock, held as long as this value lives.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, or says who holds it. `command` is what a second asker is told.
    pub fn take(path: &Path, command: &str) -> Result<Lock, LabError> {
        loop {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(path)
                .map_err(LabError::file("opening the lock", path))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    // The holder may be about to write its name.
                    let _ = file.read_to_string(&mut holder);
                    let holder = if holder.is_empty() {
                        "unknown".to_string()
                    } else {
                        holder
                    };
                    return Err(LabError::Busy { holder });
                }
                Err(TryLockError::Error(error)) => {
                    return Err(LabError::file("locking", path)(error));
                }
            }
            // `lab down` removes the lock's file while it holds it: then this is a lock on a file that is gone.
            let here = file.metadata().map_err(LabError::file("looking at", path))?;
            if fs::metadata(path).is_ok_and(|there| there.ino() == here.ino() && there.dev() == here.dev()) {
                let text = format!("{command}, process {}, since {}", std::process::id(), now());
                let write = file
                    .set_len(0)
                    .and_then(|()| file.rewind())
                    .and_then(|()| file.write_all(text.as_bytes()));
                write.map_err(LabError::file("writing", path))?;
                return Ok(Lock { _file: file });
            }
        }
    }
}

/// Now, without fractions of a second.
pub(super) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> HostRecord {
        HostRecord {
            release: "12".into(),
            address: Ipv4Addr::new(10, 1, 2, 11),
            base: "/var/cache/x/debian-12".into(),
            disk_mb: Some(64),
            authorized_keys: vec!["ssh-ed25519 AAAA me".into()],
            made: false,
            started: Some(now()),
        }
    }

    #[test]
    fn the_record_survives_writing_and_reading() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lab.json");
        assert_eq!(Registry::load(&path).unwrap(), None);
        let mut registry = Registry::new(Subnet::new(Ipv4Addr::new(10, 1, 2, 0)));
        registry.hosts.insert(1, record());
        registry.save(&path).unwrap();
        assert_eq!(Registry::load(&path).unwrap(), Some(registry));
    }

    #[test]
    fn a_damaged_record_is_an_error_and_no_panic() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lab.json");
        for text in [
            "",
            "{",
            "[]",
            "{\"format\": 9, \"subnet\": \"10.1.2.0\", \"hosts\": {}}",
        ] {
            fs::write(&path, text).unwrap();
            assert!(
                matches!(Registry::load(&path), Err(LabError::Registry { .. })),
                "{text:?}"
            );
        }
    }

    #[test]
    fn names_fit_into_what_the_kernel_allows() {
        let names = Names::new("/somewhere/lab".into());
        assert!(names.interface(999).len() <= 15, "{}", names.interface(999));
        assert_ne!(names.id, Names::new("/elsewhere/lab".into()).id);
        assert_eq!(names, Names::new("/somewhere/lab".into()));
    }

    #[test]
    fn the_second_asker_is_told_who_holds_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = Lock::take(&path, "lab up").unwrap();
        let error = Lock::take(&path, "lab down").unwrap_err().to_string();
        assert!(error.contains("lab up, process"), "{error}");
        drop(first);
        Lock::take(&path, "lab down").unwrap();
    }
}
