//! Takes the agent off the host. What it set up keeps running.

use std::fs;
use std::io;
use std::path::Path;

use crate::authorized_keys;
use crate::error::{Attempt, Error};
use crate::layout::Layout;

/// Takes the key out, and everything that is the agent's own. When another key starts the agent too, another controller
/// looks after this host: then only the key goes.
pub(crate) fn uninstall(layout: &Layout, public_key: &str) -> Result<(), Error> {
    if authorized_keys::withdraw(layout, public_key)? {
        return Ok(());
    }
    let cache = layout.blobs();
    for path in [
        layout.state(),
        cache.clone(),
        layout.engine_cache(),
        layout.bridges(),
    ] {
        gone(fs::remove_dir_all(&path), &path)?;
    }
    for path in [layout.replacement_lock(), layout.lock()] {
        gone(fs::remove_file(&path), &path)?;
    }
    if let Some(folder) = cache.parent() {
        // Other programs of Allmende may keep something beside the blobs.
        let _ = fs::remove_dir(folder);
    }
    for suffix in ["", ".previous", ".new"] {
        let mut path = layout.binary().into_os_string();
        path.push(suffix);
        gone(fs::remove_file(&path), Path::new(&path))?;
    }
    if let Some(folder) = layout.binary().parent() {
        let _ = fs::remove_dir(folder);
    }
    Ok(())
}

fn gone(removed: io::Result<()>, path: &Path) -> Result<(), Error> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).attempt("removing", path),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMineMineMineMineMineMineMineMineMineMine";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOtherOtherOtherOtherOtherOtherOtherOth";

    fn host(keys: &str) -> (tempfile::TempDir, Layout) {
        let root = tempfile::tempdir().expect("temporary directory");
        let layout = Layout::below(root.path());
        for path in [
            layout.at(authorized_keys::PATH),
            layout.binary(),
            layout.journal().join("x.json"),
            layout.blobs().join("x"),
        ] {
            fs::create_dir_all(path.parent().expect("has one")).expect("makes");
            fs::write(path, keys).expect("writes");
        }
        (root, layout)
    }

    #[test]
    fn only_lines_with_the_key_go_and_nothing_of_the_agent_stays() {
        let keys = format!(
            "# {MINE}\n{OTHER} anna@laptop\nrestrict,command=\"{} serve\" {MINE} allmende\n",
            crate::AGENT_PATH
        );
        let (root, layout) = host(&keys);
        uninstall(&layout, &format!("{MINE} comment")).expect("uninstalls");
        let left = fs::read_to_string(layout.at(authorized_keys::PATH)).expect("reads");
        assert_eq!(left, format!("# {MINE}\n{OTHER} anna@laptop\n"));
        for path in [
            "var/lib/allmende-agent",
            "var/cache/allmende",
            "usr/local/lib/allmende",
        ] {
            assert!(!root.path().join(path).exists(), "{path}");
        }
        uninstall(&layout, MINE).expect("is done already");
    }

    #[test]
    fn another_controllers_agent_stays() {
        let line = |key| format!("restrict,command=\"{} serve\" {key}\n", crate::AGENT_PATH);
        let (_root, layout) = host(&format!("{}{}", line(MINE), line(OTHER)));
        uninstall(&layout, MINE).expect("uninstalls");
        assert_eq!(
            fs::read_to_string(layout.at(authorized_keys::PATH)).expect("reads"),
            line(OTHER)
        );
        assert!(layout.binary().exists());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let (_root, layout) = host("");
        for bad in ["", "ssh-ed25519", "a b", "command=\"x\" y"] {
            assert!(uninstall(&layout, bad).is_err(), "{bad}");
        }
    }
}
