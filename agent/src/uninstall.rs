//! Takes the agent off the host. What it set up keeps running.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::atomic::Rights;
use crate::atomic::write_own;
use crate::error::{Attempt, Error};
use crate::layout::Layout;

const KEYS: &str = "/root/.ssh/authorized_keys";

/// Takes the key out, and everything that is the agent's own. When another key starts the agent too, another controller
/// looks after this host: then only the key goes.
pub(crate) fn uninstall(layout: &Layout, public_key: &str) -> Result<(), Error> {
    let key = parse(public_key)?;
    let path = layout.at(KEYS);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read.attempt("reading", &path)?,
    };
    let kept: Vec<&str> = text.lines().filter(|line| !has_key(line, key)).collect();
    if kept.len() < text.lines().count() {
        rewrite(&path, &kept)?;
    }
    if kept
        .iter()
        .any(|line| !line.trim_start().starts_with('#') && line.contains(crate::AGENT_PATH))
    {
        return Ok(());
    }
    let cache = layout.blobs();
    for path in [layout.state(), cache.clone()] {
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

/// Type and key of "ssh-ed25519 AAAA… comment".
fn parse(public_key: &str) -> Result<(&str, &str), Error> {
    let mut words = public_key.split_whitespace();
    match (words.next(), words.next()) {
        (Some(kind), Some(key))
            if key.len() >= 32 && (kind.starts_with("ssh-") || kind.contains("-sha2-")) =>
        {
            Ok((kind, key))
        }
        _ => Err(Error::Invalid(
            "this is no public key: it is written \"ssh-ed25519 AAAA…\"".to_owned(),
        )),
    }
}

/// Options may stand before the key, and a comment behind it.
fn has_key(line: &str, (kind, key): (&str, &str)) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    !line.trim_start().starts_with('#') && words.windows(2).any(|pair| pair == [kind, key])
}

fn rewrite(path: &Path, lines: &[&str]) -> Result<(), Error> {
    let found = fs::metadata(path).attempt("looking at", path)?;
    let mut text = lines.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    write_own(path, text.as_bytes(), found.mode() & 0o7777, true)?;
    let file = fs::File::open(path).attempt("opening", path)?;
    let rights = Rights {
        uid: found.uid(),
        gid: found.gid(),
        mode: found.mode() & 0o7777,
    };
    rights.give(&file, path)
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
            layout.at(KEYS),
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
        let left = fs::read_to_string(layout.at(KEYS)).expect("reads");
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
        assert_eq!(fs::read_to_string(layout.at(KEYS)).expect("reads"), line(OTHER));
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
