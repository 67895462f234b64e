//! How full the disks are: from the kernel's list of mounts and from `statvfs`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Finding, Observe, Scene};
use crate::names::{self, Verdict};

/// How full are the disks?
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSystemsQuestion {
    /// Only the file system that this path is on; without it all that are local and can be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// The file systems that were looked at, by place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSystems {
    /// At most [`MOST`](self).
    pub all: Vec<FileSystem>,
}

/// How full one file system is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSystem {
    /// Where it is mounted.
    pub place: String,
    /// `ext4`, `tmpfs` …
    pub kind: String,
    /// What is used, in bytes.
    pub used: u64,
    /// What everybody can still use, in bytes: without what is kept back for root.
    pub free: u64,
    /// Files and folders there are.
    pub inodes_used: u64,
    /// Files and folders there can still be; 0 together with none used where the file system does not count them.
    pub inodes_free: u64,
}

/// A host with more has a mistake in its list of mounts.
const MOST: usize = 64;

/// What is no disk of this host, or cannot fill up: asking a network for it could hang for ever.
const PASSED_OVER: &[&str] = &[
    "9p",
    "afs",
    "autofs",
    "binfmt_misc",
    "bpf",
    "ceph",
    "cgroup",
    "cgroup2",
    "cifs",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "erofs",
    "fusectl",
    "glusterfs",
    "hugetlbfs",
    "iso9660",
    "lustre",
    "mqueue",
    "nfs",
    "nfs4",
    "nsfs",
    "proc",
    "pstore",
    "ramfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smb3",
    "squashfs",
    "sysfs",
    "tracefs",
    "virtiofs",
];

/// File systems in memory that belong to sessions, units and devices.
const PASSING: &[&str] = &["/dev", "/proc", "/run/credentials", "/run/user", "/sys"];

impl Observe for FileSystemsQuestion {
    fn check(&self) -> Verdict {
        match self.path.as_deref() {
            None | Some("/") => Ok(()),
            Some(path) => names::path(path),
        }
    }

    fn observe(&self, scene: &Scene) -> Result<Finding, String> {
        let mounts = Mount::all(&scene.text("/proc/self/mountinfo")?);
        let all = match &self.path {
            Some(path) => {
                let mut holding = mounts.into_iter().filter(|mount| is_below(path, &mount.place));
                let first = holding.next();
                // Of two at the same place the later one covers the earlier one.
                let longest = holding.fold(first, |best, mount| match best {
                    Some(best) if best.place.len() > mount.place.len() => Some(best),
                    _ => Some(mount),
                });
                let mount = longest.ok_or_else(|| format!("no file system holds {path}"))?;
                let found = mount.measured(scene);
                vec![found.map_err(|problem| format!("looking at {path}: {problem}"))?]
            }
            None => {
                let looked_at = chosen(mounts).into_iter().take(MOST);
                // One that was just unmounted, or that nobody may enter, is passed over.
                let found = looked_at.filter_map(|mount| mount.measured(scene).ok());
                found.filter(|found| found.used + found.free > 0).collect()
            }
        };
        Ok(Finding::FileSystems(FileSystems { all }))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    device: String,
    place: String,
    kind: String,
    read_only: bool,
}

impl Mount {
    fn all(mountinfo: &str) -> Vec<Mount> {
        mountinfo.lines().filter_map(Mount::parse).collect()
    }

    /// See proc_pid_mountinfo(5).
    fn parse(line: &str) -> Option<Mount> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(2);
        let device = before.next()?.to_owned();
        let place = unescaped(before.nth(1)?);
        let options = before.next()?;
        let mut after = after.split(' ');
        let kind = after.next()?.to_owned();
        let read_only = |options: &str| options.split(',').any(|option| option == "ro");
        Some(Mount {
            device,
            place,
            kind,
            read_only: read_only(options) || after.nth(1).is_some_and(read_only),
        })
    }

    fn is_local(&self) -> bool {
        match self.kind.as_str() {
            kind if PASSED_OVER.contains(&kind) || kind.starts_with("fuse.") => false,
            // What the machine around a container hands in.
            _ if is_below(&self.place, "/run/host") => false,
            // A container's root; below other places they are other containers' roots.
            "overlay" => self.place == "/",
            "tmpfs" => !PASSING.iter().any(|place| is_below(&self.place, place)),
            _ => true,
        }
    }

    fn measured(self, scene: &Scene) -> Result<FileSystem, String> {
        let found = rustix::fs::statvfs(scene.layout.at(&self.place)).map_err(|error| error.to_string())?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(FileSystem {
            used: bytes(found.f_blocks.saturating_sub(found.f_bfree)),
            free: bytes(found.f_bavail),
            inodes_used: found.f_files.saturating_sub(found.f_ffree),
            inodes_free: found.f_favail,
            place: self.place,
            kind: self.kind,
        })
    }
}

/// Each device once, where it is mounted nearest to the root.
fn chosen(mounts: Vec<Mount>) -> Vec<Mount> {
    let mut devices: BTreeMap<String, Mount> = BTreeMap::new();
    for mount in mounts {
        if mount.read_only || !mount.is_local() {
            continue;
        }
        match devices.get(&mount.device) {
            Some(known) if known.place.len() <= mount.place.len() => {}
            _ => {
                devices.insert(mount.device.clone(), mount);
            }
        }
    }
    let mut chosen: Vec<Mount> = devices.into_values().collect();
    chosen.sort_by(|one, other| one.place.cmp(&other.place));
    chosen
}

fn is_below(path: &str, folder: &str) -> bool {
    let rest = path.strip_prefix(folder.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The kernel writes blanks and backslashes as `\040`.
fn unescaped(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..3).map(|digits| u8::from_str_radix(digits, 8)) {
            Some(Ok(byte)) => {
                bytes.push(byte);
                bytes.extend(part.bytes().skip(3));
            }
            _ => {
                bytes.push(b'\\');
                bytes.extend(part.bytes());
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOUNTS: &str = "\
22 1 0:20 / / rw,relatime - overlay overlay rw,lowerdir=/a
24 22 0:22 / /proc rw - proc proc rw
25 22 8:1 / /srv rw,relatime shared:1 - ext4 /dev/sda1 rw
26 22 8:1 /cloud /srv/my\\040cloud rw,relatime - ext4 /dev/sda1 rw
27 22 0:30 / /mnt/nas rw - nfs4 nas:/x rw
28 22 0:31 / /snap/x ro - squashfs /dev/loop0 ro
29 22 0:32 / /tmp rw,nosuid - tmpfs tmpfs rw
30 22 0:33 / /run/user/0 rw - tmpfs tmpfs rw
31 22 0:34 / /media/stick rw - vfat /dev/sdb1 ro
32 22 0:35 / /var/lib/docker/overlay2/1/merged rw - overlay overlay rw
33 22 0:36 / /mnt/ssh rw - fuse.sshfs me@there rw
34 22 0:37 / /development rw - tmpfs tmpfs rw
35 22 8:2 / /run/host/incoming rw - ext4 /dev/sda2 rw
";

    #[test]
    fn only_local_disks_that_can_be_written_are_looked_at_and_each_once() {
        let places: Vec<String> = chosen(Mount::all(MOUNTS))
            .into_iter()
            .map(|mount| mount.place)
            .collect();
        assert_eq!(places, ["/", "/development", "/srv", "/tmp"]);
        assert_eq!(Mount::all(MOUNTS)[3].place, "/srv/my cloud");
    }

    #[test]
    fn a_path_belongs_to_the_mount_that_is_nearest() {
        for (path, folder, below) in [
            ("/srv/a", "/", true),
            ("/srv/a", "/srv", true),
            ("/srv", "/srv", true),
            ("/srvx", "/srv", false),
            ("/", "/", true),
        ] {
            assert_eq!(is_below(path, folder), below, "{path} {folder}");
        }
    }

    proptest! {
        #[test]
        fn lists_of_mounts_may_hold_anything(text in "([0-9:]{1,3} |/a\\\\04[0-9] | - |rw,ro |ext4|\\\\|\n|.){0,80}") {
            for mount in chosen(Mount::all(&text)) {
                prop_assert!(!mount.read_only);
            }
            unescaped(&text);
        }
    }
}
