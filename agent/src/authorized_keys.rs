//! The keys in root's `authorized_keys` that start the agent.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::atomic::{Rights, write_own};
use crate::error::{Attempt, Error};
use crate::layout::Layout;

pub(crate) const PATH: &str = "/root/.ssh/authorized_keys";

/// The comment by which people recognise a controller's key.
const COMMENT: &str = "allmende";

/// The line for `authorized_keys` with which a public key ("ssh-ed25519 AAAA…") may start the agent and do nothing else.
pub fn authorized_line(public_key: &str) -> String {
    format!(
        "restrict,command=\"{} serve\" {public_key} {COMMENT}",
        crate::AGENT_PATH
    )
}

/// Lets a key start the agent, and do nothing else. Other lines with the same key go: one with more rights would win.
pub(crate) fn authorize(layout: &Layout, public_key: &str) -> Result<(), Error> {
    let key = parse(public_key)?;
    let line = authorized_line(&format!("{} {}", key.0, key.1));
    let path = layout.at(PATH);
    let text = read(&path)?;
    let mut lines: Vec<&str> = text.lines().filter(|line| !has_key(line, key)).collect();
    lines.push(&line);
    rewrite(&path, &lines)
}

/// Takes a key out. True if another key may start the agent: then another controller looks after this host, too.
pub(crate) fn withdraw(layout: &Layout, public_key: &str) -> Result<bool, Error> {
    let key = parse(public_key)?;
    let path = layout.at(PATH);
    let text = read(&path)?;
    let kept: Vec<&str> = text.lines().filter(|line| !has_key(line, key)).collect();
    if kept.len() < text.lines().count() {
        rewrite(&path, &kept)?;
    }
    Ok(kept
        .iter()
        .any(|line| !line.trim_start().starts_with('#') && line.contains(crate::AGENT_PATH)))
}

fn read(path: &Path) -> Result<String, Error> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read.attempt("reading", path),
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
    // As it was; a new file is root's alone.
    let rights = fs::metadata(path).map_or(
        Rights {
            uid: 0,
            gid: 0,
            mode: 0o600,
        },
        |found| Rights {
            uid: found.uid(),
            gid: found.gid(),
            mode: found.mode() & 0o7777,
        },
    );
    let mut text = lines.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    write_own(path, text.as_bytes(), rights.mode, true)?;
    let file = fs::File::open(path).attempt("opening", path)?;
    rights.give(&file, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOldOldOldOldOldOldOldOldOldOldOldOldOld";
    const NEW: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINewNewNewNewNewNewNewNewNewNewNewNewNew";

    #[test]
    fn a_new_key_comes_beside_the_old_one_which_then_goes() {
        let root = tempfile::tempdir().expect("temporary directory");
        let layout = Layout::below(root.path());
        let path = layout.at(PATH);
        fs::create_dir_all(path.parent().expect("has one")).expect("makes");
        // The same key with every right must not stay.
        fs::write(&path, format!("{}\n{NEW} anna@laptop", authorized_line(OLD))).expect("writes");
        for _ in 0..2 {
            authorize(&layout, NEW).expect("authorizes");
            let both = format!("{}\n{}\n", authorized_line(OLD), authorized_line(NEW));
            assert_eq!(fs::read_to_string(&path).expect("reads"), both);
        }
        assert!(withdraw(&layout, OLD).expect("withdraws"));
        assert_eq!(
            fs::read_to_string(&path).expect("reads"),
            format!("{}\n", authorized_line(NEW))
        );
        assert!(!withdraw(&layout, NEW).expect("withdraws"));
        assert!(authorize(&layout, "ssh-ed25519 short").is_err());
    }
}
