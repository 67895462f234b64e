//! What cannot be restored in place, said before anything is stopped.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Attempt, Error, room, size};
use crate::layout::Layout;

/// What is kept free beside what a restore needs: a twentieth of it, and this much.
const SPARE: u64 = 64 * 1024 * 1024;

/// Refuses a path that is a mount point or holds one: a rename cannot move it.
pub(super) fn not_mounted(layout: &Layout, path: &str) -> Result<(), Error> {
    let list = layout.at("/proc/self/mountinfo");
    let text = fs::read_to_string(&list).attempt("reading", &list)?;
    // The kernel knows the path without links in it.
    let whole = fs::canonicalize(layout.at(path)).unwrap_or_else(|_| layout.at(path));
    let Some(mount) = mount_points(&text).find(|mount| mount.starts_with(&whole)) else {
        return Ok(());
    };
    let found = if mount == whole {
        format!("{path} is a mount point, which cannot be exchanged for a restored folder")
    } else {
        format!(
            "{path} holds the mount point {}, which cannot be moved aside",
            mount.display()
        )
    };
    Err(Error::obstacle(
        found,
        "restore what lies below it with `--path`, or beside with `--into`",
    ))
}

/// The mount points of `/proc/self/mountinfo`.
fn mount_points(text: &str) -> impl Iterator<Item = PathBuf> {
    text.lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|field| {
            let mut plain = field.to_owned();
            for (escaped, letter) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
                plain = plain.replace(escaped, letter);
            }
            PathBuf::from(plain)
        })
}

/// What a restore needs, by file system.
#[derive(Debug, Default)]
pub(super) struct Needs(BTreeMap<u64, (PathBuf, u64)>);

impl Needs {
    /// So many bytes at `path`, which need not be there yet.
    pub(super) fn add(&mut self, path: &Path, bytes: u64) {
        let existing = path
            .ancestors()
            .find(|path| path.exists())
            .unwrap_or(Path::new("/"));
        let device = existing.metadata().map_or(0, |found| found.dev());
        let (_, needed) = self.0.entry(device).or_insert_with(|| (existing.to_owned(), 0));
        *needed = needed.saturating_add(bytes);
    }

    /// Why they cannot be had, if they cannot.
    pub(super) fn lacking(&self) -> Option<String> {
        self.0.values().find_map(|(path, bytes)| {
            let needed = bytes.saturating_add(bytes / 20).saturating_add(SPARE);
            let (mount, free) = room(path);
            (free < needed).then(|| {
                format!(
                    "there is not enough room on {mount}: {} are needed, {} are free",
                    size(needed),
                    size(free)
                )
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(mounts: &[&str]) -> (tempfile::TempDir, Layout) {
        let root = tempfile::tempdir().expect("temporary directory");
        let layout = Layout::below(root.path());
        fs::create_dir_all(root.path().join("proc/self")).expect("makes");
        fs::create_dir_all(root.path().join("srv/cloud/data")).expect("makes");
        let lines: String = mounts
            .iter()
            .map(|mount| {
                format!(
                    "36 35 98:0 / {}{mount} rw - ext4 /dev/sda rw\n",
                    root.path().display()
                )
            })
            .collect();
        fs::write(root.path().join("proc/self/mountinfo"), lines).expect("writes");
        (root, layout)
    }

    #[test]
    fn a_mount_point_at_a_path_or_below_it_is_refused() {
        let refusal = |mounts: &[&str], path: &str| {
            let (_root, layout) = host(mounts);
            not_mounted(&layout, path).err().map(|error| error.to_string())
        };
        assert_eq!(
            refusal(&["", "/srv", "/srv/cloud/data2"], "/srv/cloud/data"),
            None
        );
        let at = refusal(&["/srv/cloud/data"], "/srv/cloud/data").expect("is refused");
        assert!(at.contains("is a mount point") && at.contains("--into"), "{at}");
        let below = refusal(&["/srv/cloud/data/my\\040disk"], "/srv/cloud/data").expect("is refused");
        assert!(
            below.contains("/srv/cloud/data/my disk, which cannot be moved"),
            "{below}"
        );
    }

    #[test]
    fn what_is_needed_adds_up_and_is_told_when_it_is_too_much() {
        let mut needs = Needs::default();
        needs.add(Path::new("/tmp/not/there"), 1000);
        assert_eq!(needs.lacking(), None);
        needs.add(Path::new("/tmp"), u64::MAX / 2);
        assert!(needs.lacking().is_some_and(|why| why.contains("not enough room")));
    }
}
