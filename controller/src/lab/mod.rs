//! Practice hosts: throwaway Debian servers on this machine, for trainees, the demo and the end-to-end tests.
//!
//! A host is a systemd-nspawn container with an overlay over a base image that all hosts of its release share, with real
//! systemd and sshd, on a bridge of the lab's own. Everything is written down before it is made and carries the lab's id
//! in its name, so that [`Lab::down`] leaves nothing behind, also after a crash.
//!
//! Hosts are for practice, not for strangers: root on one of them is kept apart from this machine by namespaces and
//! capabilities, not by another kernel.

mod base;
mod command;
mod error;
mod files;
mod host;
mod keeper;
mod mounts;
mod network;
mod processes;
mod recipe;
mod registry;
mod requirements;
mod run;
mod shared;
mod sources;

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::process::Signal;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use error::LabError;
pub use keeper::keep;
pub use requirements::{Requirement, install};
pub use sources::{RELEASES, Release};

use processes::Part;
use registry::{HostRecord, Lock, Names, Registry, host_name, now};
use run::check;

/// Takes plain sentences about what the lab is doing.
pub type Progress<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// Where base images are kept for all labs of the machine.
pub const CACHE: &str = "/var/cache/allmende/lab";

/// The domain of practice hosts; `.test` never exists on the internet.
pub const DOMAIN: &str = "practice.test";

/// How many hosts a lab can have.
pub const MOST_HOSTS: u32 = 200;

/// How long a host may take to come up before the lab gives up; on a quiet machine it takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(90);

/// What `up` shall make.
#[derive(Debug, Clone)]
pub struct UpOptions {
    /// How many hosts there shall be in total; hosts that exist are never removed.
    pub hosts: u32,
    /// The Debian release of new hosts.
    pub release: Release,
    /// The size of new hosts' disks in megabytes (kept in memory); without it they share the disk of this machine.
    pub disk_mb: Option<u64>,
    /// A public key in OpenSSH's notation that may log in to new hosts as root, beside the lab's own.
    pub authorized_key: Option<String>,
}

impl Default for UpOptions {
    fn default() -> Self {
        UpOptions {
            hosts: 1,
            release: RELEASES[1],
            disk_mb: None,
            authorized_key: None,
        }
    }
}

/// What a practice host is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HostState {
    /// It runs and its SSH server answers.
    Running,
    /// It runs and does not answer (yet).
    Booting,
    /// It is switched off.
    Stopped,
}

/// What `list` says about a host.
#[derive(Debug, Clone, Serialize)]
pub struct HostStatus {
    /// Its name, `practice1` and so on.
    pub name: String,
    /// Its address in the lab's network.
    pub address: Ipv4Addr,
    /// Its Debian release, as `12`.
    pub release: String,
    /// What it is doing.
    pub state: HostState,
    /// When it was started last.
    pub since: Option<Timestamp>,
    /// The fingerprint of its SSH key, `SHA256:…`.
    pub fingerprint: Option<String>,
    /// The private key that logs in as root.
    pub identity: PathBuf,
    /// Where its console is written.
    pub log: PathBuf,
    /// The size of its disk in megabytes, if it has one of its own.
    pub disk_mb: Option<u64>,
}

/// A lab: the practice hosts that belong to one folder.
#[derive(Debug)]
pub struct Lab {
    names: Names,
}

impl Lab {
    /// The lab of a folder. Nothing is made or changed by this.
    ///
    /// # Errors
    /// When the folder's path has characters that cannot stand in a mount option.
    pub fn open(directory: PathBuf) -> Result<Lab, LabError> {
        let absolute = std::path::absolute(&directory).map_err(LabError::file("looking at", &directory))?;
        let existing = absolute
            .ancestors()
            .find(|path| path.exists())
            .unwrap_or(Path::new("/"));
        let real = existing
            .canonicalize()
            .map_err(LabError::file("looking at", existing))?;
        let full = absolute
            .strip_prefix(existing)
            .ok()
            .filter(|rest| *rest != Path::new(""))
            .map_or(real.clone(), |rest| real.join(rest));
        match full.to_str() {
            Some(text) if !text.contains(|c: char| ",:\\\"".contains(c) || c.is_control()) => Ok(Lab {
                names: Names::new(full),
            }),
            _ => Err(LabError::Refused(format!(
                "the lab's folder {} has a comma, colon, backslash, quotation mark or something unreadable in its path, which a mount cannot take; choose another data directory",
                full.display()
            ))),
        }
    }

    /// What this machine lacks before [`Lab::up`] can work; see [`install`].
    pub fn missing(&self) -> Vec<Requirement> {
        requirements::missing(&self.names.directory)
    }

    /// Makes hosts until there are as many as wanted, starts those that are off, and waits until all are up.
    ///
    /// # Errors
    /// When the machine lacks something, another command works on this lab, or a step fails; what was made so far stays
    /// and the next `up` goes on from there.
    pub async fn up(&self, options: &UpOptions, progress: Progress<'_>) -> Result<Vec<HostStatus>, LabError> {
        check(options)?;
        let missing = self.missing();
        if !missing.is_empty() {
            return Err(LabError::Missing(missing));
        }
        let names = &self.names;
        let make = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&names.directory);
        make.map_err(LabError::file("making", &names.directory))?;
        let _lock = Lock::take(&names.lock(), "lab up")?;
        if !names.key().exists() {
            host::make_key(&names.key(), "allmende-lab").await?;
        }
        let old = Registry::load(&names.record())?;
        let before: BTreeSet<u32> = old
            .iter()
            .flat_map(|registry| registry.hosts.keys().copied())
            .collect();
        let new = (options.hosts as usize).saturating_sub(before.len());
        let base = if new > 0 {
            Some(base::provide(options.release, progress).await?)
        } else {
            None
        };

        progress("Preparing the network");
        let mut registry = self.network(old).await?;
        for number in (1..=MOST_HOSTS)
            .filter(|n| !registry.hosts.contains_key(n))
            .take(new)
            .collect::<Vec<_>>()
        {
            let record = HostRecord {
                release: options.release.number.to_string(),
                address: registry.subnet.host(number),
                base: base.clone().unwrap_or_default(),
                disk_mb: options.disk_mb,
                authorized_keys: options
                    .authorized_key
                    .iter()
                    .map(|key| key.trim().to_string())
                    .collect(),
                made: false,
                started: None,
            };
            registry.hosts.insert(number, record);
        }
        registry.save(&names.record())?;

        let running = self.running();
        let idle = registry
            .hosts
            .iter()
            .filter(|(number, record)| !record.made || !running.contains(number));
        let idle: Vec<u32> = idle.map(|(number, _)| *number).collect();
        for number in &idle {
            let interrupted = |registry: &Registry| registry.hosts.get(number).is_some_and(|r| !r.made);
            if before.contains(number) && interrupted(&registry) {
                // Whatever a killed command left of it.
                self.end(|host| host == names.host(*number)).await?;
                host::remove(names, *number, false).await?;
                self.renew_base(&mut registry, *number, progress).await?;
            }
        }
        for number in running.iter().filter(|number| !idle.contains(number)) {
            files::write_hosts(&names.host(*number).join("root"), &registry, *number)?;
        }
        self.boot(&mut registry, &idle, progress).await?;
        // A killed command may have started others a moment ago.
        for (number, record) in &registry.hosts {
            let recent = record
                .started
                .is_some_and(|t| Timestamp::now().duration_since(t).as_secs() < 60);
            if running.contains(number) && !idle.contains(number) && recent {
                host::wait_until_up(names, *number, record, None, PATIENCE).await?;
            }
        }
        self.list().await
    }

    /// The hosts of this lab and what they are doing.
    ///
    /// # Errors
    /// When the lab's record cannot be read.
    pub async fn list(&self) -> Result<Vec<HostStatus>, LabError> {
        let Some(registry) = Registry::load(&self.names.record())? else {
            return Ok(Vec::new());
        };
        let running = self.running();
        let mut probes = JoinSet::new();
        for (number, record) in registry
            .hosts
            .clone()
            .into_iter()
            .filter(|(number, _)| running.contains(number))
        {
            probes.spawn(async move { host::answers(&record).await.then_some(number) });
        }
        let answering: BTreeSet<u32> = probes.join_all().await.into_iter().flatten().collect();
        let status = |(number, record): (&u32, &HostRecord)| HostStatus {
            name: host_name(*number),
            address: record.address,
            release: record.release.clone(),
            state: match (running.contains(number), answering.contains(number)) {
                (true, true) => HostState::Running,
                (true, false) => HostState::Booting,
                (false, _) => HostState::Stopped,
            },
            since: record.started,
            fingerprint: host::fingerprint(&self.names, *number),
            identity: self.names.key(),
            log: self.names.log(*number),
            disk_mb: record.disk_mb,
        };
        Ok(registry.hosts.iter().map(status).collect())
    }

    /// Throws everything away that happened on a host and boots it fresh, with the same name and address and, unless
    /// `new_keys`, the same SSH host key.
    ///
    /// # Errors
    /// When there is no such host or a step fails; the next `reset` or `up` begins it anew.
    pub async fn reset(&self, name: &str, new_keys: bool, progress: Progress<'_>) -> Result<(), LabError> {
        let (_lock, mut registry, number) = self.locked("lab reset", name)?;
        progress(&format!("Throwing away what is on {name}"));
        // An interrupted reset is finished by the next `up`; keys that must stay are not touched by it.
        self.end(|host| host == self.names.host(number)).await?;
        host::remove(&self.names, number, !new_keys).await?;
        self.renew_base(&mut registry, number, progress).await?;
        registry = self.network(Some(registry)).await?;
        self.boot(&mut registry, &[number], progress).await
    }

    /// Switches a host off, as `poweroff` on it would.
    ///
    /// # Errors
    /// When there is no such host or it cannot be ended.
    pub async fn stop(&self, name: &str) -> Result<(), LabError> {
        let (_lock, _, number) = self.locked("lab stop", name)?;
        self.signal(number, Part::Nspawn, Signal::TERM);
        let begin = Instant::now();
        while self.running().contains(&number) && begin.elapsed() < Duration::from_secs(30) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.end(|host| host == self.names.host(number)).await
    }

    /// Switches a host off as a power cut would.
    ///
    /// # Errors
    /// When there is no such host or it cannot be ended.
    pub async fn kill(&self, name: &str) -> Result<(), LabError> {
        let (_lock, _, number) = self.locked("lab kill", name)?;
        self.end(|host| host == self.names.host(number)).await
    }

    /// Switches a host on and waits until it is up.
    ///
    /// # Errors
    /// When there is no such host or it does not come up.
    pub async fn start(&self, name: &str, progress: Progress<'_>) -> Result<(), LabError> {
        let (_lock, registry, number) = self.locked("lab start", name)?;
        if self.running().contains(&number) {
            return Ok(());
        }
        let mut registry = self.network(Some(registry)).await?;
        self.boot(&mut registry, &[number], progress).await
    }

    /// Reboots a host, as Ctrl-Alt-Del would, and waits until it is up again.
    ///
    /// # Errors
    /// When there is no such host, it is off, or it does not come up.
    pub async fn reboot(&self, name: &str) -> Result<(), LabError> {
        let (_lock, registry, number) = self.locked("lab reboot", name)?;
        let Some(record) = registry.hosts.get(&number) else {
            return Ok(());
        };
        let before = self.signal(number, Part::Init, Signal::INT);
        if before.is_empty() {
            return Err(LabError::Refused(format!(
                "{name} is off, so it cannot reboot; start it with `lab start {name}`"
            )));
        }
        let begin = Instant::now();
        let still = || {
            processes::find(&self.names.hosts())
                .iter()
                .any(|process| before.contains(&process.pid))
        };
        while still() && begin.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        host::wait_until_up(&self.names, number, record, None, PATIENCE)
            .await
            .map(|_| ())
    }

    /// Pulls a host's network cable out. It is in again after [`Lab::plug`] or when the host reboots.
    ///
    /// # Errors
    /// When there is no such host or it does not run.
    pub async fn unplug(&self, name: &str) -> Result<(), LabError> {
        let (_lock, _, number) = self.locked("lab unplug", name)?;
        network::cable(&self.names, number, false).await
    }

    /// Puts a host's network cable in again.
    ///
    /// # Errors
    /// When there is no such host or it does not run.
    pub async fn plug(&self, name: &str) -> Result<(), LabError> {
        let (_lock, _, number) = self.locked("lab plug", name)?;
        network::cable(&self.names, number, true).await
    }

    /// Removes all hosts and everything that the lab made, by its record and by its names. Base images stay unless
    /// `purge`; those that another lab's hosts stand on stay in any case, and are given back.
    ///
    /// # Errors
    /// When something is left; running it again is always safe.
    pub async fn down(&self, purge: bool, progress: Progress<'_>) -> Result<Vec<PathBuf>, LabError> {
        let names = &self.names;
        let exists = names.directory.is_dir();
        let _lock = if exists {
            Some(Lock::take(&names.lock(), "lab down")?)
        } else {
            None
        };
        progress("Ending the practice hosts");
        self.end(|_| true).await?;
        progress("Removing their files and the network");
        for number in self.folders() {
            host::clear_runtime(names, number);
        }
        mounts::unmount_beneath(&names.directory).await?;
        network::down(names).await?;
        keeper::remove_groups(names).await;
        host::remove_tree(&names.hosts()).await?;
        base::clear_leftovers().await?;
        let kept = if purge { base::purge().await? } else { Vec::new() };
        self.remove_own_files().await?;
        let mut left = network::interfaces(names);
        left.extend(
            keeper::groups(names)
                .iter()
                .map(|group| group.display().to_string()),
        );
        if network::table_exists(names).await {
            left.push(format!("nftables table {}", names.table()));
        }
        if left.is_empty() {
            Ok(kept)
        } else {
            Err(LabError::Remains(left.join(", ")))
        }
    }
}
