//! What is mounted where, and taking it away.

use std::fs;
use std::path::{Path, PathBuf};

use super::command::Argv;
use super::error::LabError;

/// One line of a `mountinfo` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    pub point: PathBuf,
    pub kind: String,
    pub options: String,
}

/// The mounts that a process sees (`self` or a process id).
pub(super) fn of_process(process: &str) -> Vec<Mount> {
    fs::read_to_string(format!("/proc/{process}/mountinfo"))
        .map(|text| parse(&text))
        .unwrap_or_default()
}

/// Reads the text of a `mountinfo` file; lines that are not understood are left out.
pub(super) fn parse(text: &str) -> Vec<Mount> {
    let line = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let mut after = after.split(' ');
        let kind = after.next()?.to_string();
        let options = after.nth(1).unwrap_or_default();
        Some(Mount {
            point: PathBuf::from(decode(before.split(' ').nth(4)?)),
            kind,
            options: decode(options),
        })
    };
    text.lines().filter_map(line).collect()
}

/// Undoes the kernel's octal escapes (`\040` for a space).
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = (first == b'\\').then(|| tail.get(..3)).flatten();
        let code = octal
            .and_then(|o| std::str::from_utf8(o).ok())
            .and_then(|o| u8::from_str_radix(o, 8).ok());
        if let Some(code) = code {
            bytes.push(code);
            rest = &tail[3..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether something is mounted exactly here.
pub(super) fn is_mounted(point: &Path) -> bool {
    of_process("self").iter().any(|mount| mount.point == point)
}

/// The folders beneath a folder (or itself) where something is mounted, innermost and latest first.
pub(super) fn beneath(folder: &Path) -> Vec<PathBuf> {
    of_process("self")
        .into_iter()
        .rev()
        .map(|m| m.point)
        .filter(|point| point.starts_with(folder))
        .collect()
}

/// The folders that serve as a lower layer of an overlay somewhere on this machine.
pub(super) fn lower_layers() -> Vec<PathBuf> {
    let overlays = of_process("self")
        .into_iter()
        .filter(|mount| mount.kind == "overlay");
    overlays
        .filter_map(|mount| option(&mount.options, "lowerdir").map(PathBuf::from))
        .collect()
}

/// The value of one mount option.
pub(super) fn option<'a>(options: &'a str, name: &str) -> Option<&'a str> {
    options
        .split(',')
        .find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
}

/// Takes away every mount beneath a folder; one that is busy is detached, and goes when its last user ends.
pub(super) async fn unmount_beneath(folder: &Path) -> Result<(), LabError> {
    let next = "look with `findmnt` and `fuser -vm` at who uses it";
    for point in beneath(folder) {
        if Argv::new("umount")
            .arg(&point)
            .run("unmounting", next)
            .await
            .is_err()
            && is_mounted(&point)
        {
            Argv::new("umount")
                .arg("--lazy")
                .arg(&point)
                .run("detaching a busy mount", next)
                .await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlay_lines_are_understood() {
        let text = "36 35 0:39 / /x\\040y/root rw,relatime shared:7 - overlay overlay rw,lowerdir=/base,upperdir=/x\\040y/up,workdir=/w\n\
                    nonsense\n\
                    21 1 8:1 / / rw - ext4 /dev/sda1 rw\n";
        let mounts = parse(text);
        assert_eq!(mounts.len(), 2);
        assert_eq!(mounts[0].point, PathBuf::from("/x y/root"));
        assert_eq!(mounts[0].kind, "overlay");
        assert_eq!(option(&mounts[0].options, "upperdir"), Some("/x y/up"));
        assert_eq!(option(&mounts[0].options, "upper"), None);
        assert_eq!(mounts[1].options, "rw");
    }

    #[test]
    fn odd_escapes_do_no_harm() {
        assert_eq!(decode("a\\"), "a\\");
        assert_eq!(decode("a\\9z"), "a\\9z");
        assert_eq!(decode("\\134"), "\\");
        assert_eq!(decode("\\777"), "\\777");
    }
}
