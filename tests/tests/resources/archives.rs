//! Archives that are good, and archives that are not.

use std::path::{Path, PathBuf};
use std::process::Command;

use allmende_tests::Finished;
use sha2::{Digest, Sha256};

/// Packs a tree with a page, a program and a link; further arguments are for tar.
pub fn pack(folder: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    let tree = folder.join("tree");
    std::fs::create_dir_all(tree.join("bin")).expect("makes a tree");
    std::fs::write(tree.join("page"), "a page\n").expect("writes a page");
    std::fs::write(tree.join("bin/program"), "#!/bin/sh\n").expect("writes a program");
    if !tree.join("link").is_symlink() {
        std::os::unix::fs::symlink("bin/program", tree.join("link")).expect("makes a link");
    }
    Finished::of(Command::new("chmod").arg("4755").arg(tree.join("bin/program"))).expect(0);
    let archive = folder.join(name);
    let mut tar = Command::new("tar");
    tar.arg("--directory").arg(folder);
    tar.args(["--absolute-names", "--auto-compress", "--create", "--file"]);
    Finished::of(tar.arg(&archive).args(arguments).arg("tree")).expect(0);
    archive
}

pub fn sha256(path: &Path) -> String {
    let hash = Sha256::digest(std::fs::read(path).expect("reads an archive"));
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
pub fn archives(folder: &Path) -> Vec<(&'static str, PathBuf)> {
    let good = pack(folder, "good.tar.gz", &[]);
    let climbing = pack(
        folder,
        "climbing.tar.gz",
        &["--transform", "s,tree/page,tree/../../../etc/escaped,"],
    );
    let absolute = pack(
        folder,
        "absolute.tar.bz2",
        &["--transform", "s,tree/page,/etc/escaped,"],
    );
    let link = |target: &str| {
        let path = folder.join("tree/way");
        let _ = std::fs::remove_file(&path);
        std::os::unix::fs::symlink(target, path).expect("makes a link");
    };
    link("/etc");
    let linked = pack(folder, "linked.tar.gz", &[]);
    link("../../etc");
    let winding = pack(folder, "winding.tar.gz", &[]);
    std::fs::remove_file(folder.join("tree/way")).expect("removes a link");
    let cut = folder.join("cut.tar.gz");
    let whole = std::fs::read(&good).expect("reads an archive");
    std::fs::write(&cut, whole.get(..whole.len() / 2).unwrap_or_default()).expect("writes an archive");
    let text = folder.join("text.tar.gz");
    std::fs::write(&text, "This is no archive.\n".repeat(100)).expect("writes a text");
    vec![
        ("good", good),
        ("climbing", climbing),
        ("absolute", absolute),
        ("linked", linked),
        ("winding", winding),
        ("cut", cut),
        ("text", text),
    ]
}
