//! apt and dpkg: the command lines, when the lists are too old, and how an interrupted run is brought to its end.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::host::Host;
use crate::process::{ProcessError, Program};

/// Package lists older than this are fetched again before anything is installed.
const LISTS_MAY_BE_OLD: Duration = Duration::from_secs(24 * 60 * 60);

/// How long apt waits for another program that installs packages, in seconds.
const LOCK_WAIT: &str = "DPkg::Lock::Timeout=300";

/// Else dpkg thinks that somebody watches, and counts what it reads.
const NO_TERMINAL: &str = "Dpkg::Use-Pty=0";

/// A slow mirror and a large package take their time; an interrupted dpkg is worse than a long wait.
const PATIENCE: Duration = Duration::from_secs(2 * 60 * 60);

fn quiet(program: Program) -> Program {
    program
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("APT_LISTCHANGES_FRONTEND", "none")
        .timeout(PATIENCE)
}

/// Unpacks packages again.
fn reinstall(names: &[String]) -> Program {
    apt_get_install()
        .arg("--reinstall")
        .arg("--no-install-recommends")
        .arg("--")
        .args(names.iter().cloned())
}

fn install(names: &[String], recommends: bool) -> Program {
    let program = apt_get_install();
    let program = if recommends {
        program
    } else {
        program.arg("--no-install-recommends")
    };
    program.arg("--").args(names.iter().cloned())
}

fn apt_get_install() -> Program {
    quiet(Program::new([
        "apt-get",
        "install",
        "-q",
        "-y",
        "-o",
        LOCK_WAIT,
        "-o",
        NO_TERMINAL,
        "-o",
        "Dpkg::Options::=--force-confdef",
        "-o",
        "Dpkg::Options::=--force-confold",
    ]))
}

fn update() -> Program {
    quiet(Program::new(["apt-get", "update", "-q", "-o", LOCK_WAIT]))
}

/// Brings an interrupted dpkg to its end: packages that are unpacked are configured, broken dependencies mended.
fn repairs() -> [Program; 2] {
    [
        quiet(Program::new([
            "dpkg",
            "--force-confdef",
            "--force-confold",
            "--configure",
            "-a",
        ])),
        quiet(Program::new([
            "apt-get",
            "install",
            "-f",
            "-q",
            "-y",
            "-o",
            LOCK_WAIT,
            "-o",
            NO_TERMINAL,
            "-o",
            "Dpkg::Options::=--force-confold",
        ])),
    ]
}

/// Installs packages, whatever state an earlier run left behind.
pub(super) fn bring(
    host: &mut Host,
    names: &[String],
    recommends: bool,
    interrupted: bool,
) -> Result<(), ProcessError> {
    if interrupted {
        repair(host)?;
    }
    let lists_are_old = lists_are_old(host.layout.root());
    // A source that does not answer must not keep packages away that the other sources have.
    let updated = if lists_are_old {
        Some(host.succeed(&update()).is_ok())
    } else {
        None
    };
    match host.succeed(&install(names, recommends)) {
        Ok(_) => Ok(()),
        Err(error) if error.says("dpkg --configure -a") || error.says("--fix-broken") => {
            repair(host)?;
            host.succeed(&install(names, recommends)).map(|_| ())
        }
        Err(error) if updated != Some(true) && is_about_lists(&error) => {
            host.succeed(&update())?;
            host.succeed(&install(names, recommends)).map(|_| ())
        }
        Err(error) => Err(error),
    }
}

fn repair(host: &mut Host) -> Result<(), ProcessError> {
    let [configure, fix] = repairs();
    // What is still broken then, apt mends or names.
    let _ = host.run(&configure)?;
    host.anything_changed();
    let half_unpacked = host
        .packages()
        .map(|packages| packages.half_unpacked.clone())
        .unwrap_or_default();
    if !half_unpacked.is_empty() {
        let _ = host.run(&reinstall(&half_unpacked))?;
    }
    host.succeed(&fix).map(|_| ())
}

fn is_about_lists(error: &ProcessError) -> bool {
    [
        "Unable to locate package",
        "has no installation candidate",
        "404",
        "Failed to fetch",
        "Hash Sum mismatch",
    ]
    .iter()
    .any(|sign| error.says(sign))
}

/// Whether the package lists are missing, older than a day, or older than the sources they come from.
fn lists_are_old(root: &Path) -> bool {
    let lists = root.join("var/lib/apt/lists");
    let any = fs::read_dir(&lists)
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().contains("_Packages"));
    let fetched = [lists.clone(), lists.join("partial")]
        .iter()
        .filter_map(|path| modified(path))
        .max();
    let (true, Some(fetched)) = (any, fetched) else {
        return true;
    };
    let old = SystemTime::now()
        .duration_since(fetched)
        .is_ok_and(|age| age > LISTS_MAY_BE_OLD);
    let folder = root.join("etc/apt/sources.list.d");
    let inside = fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let sources = inside.chain([root.join("etc/apt/sources.list"), folder.clone()]);
    old || sources
        .filter_map(|path| modified(&path))
        .any(|changed| changed > fetched)
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|found| found.modified()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn the_command_lines_are_right() {
        let line = install(&["nginx".to_owned()], false).argv.join(" ");
        assert!(
            line.starts_with("apt-get install -q -y -o DPkg::Lock::Timeout=300 "),
            "{line}"
        );
        assert!(line.ends_with(" --no-install-recommends -- nginx"), "{line}");
        assert!(
            !install(&["nginx".to_owned()], true)
                .argv
                .contains(&"--no-install-recommends".to_owned())
        );
    }

    #[test]
    fn lists_that_are_missing_or_older_than_their_sources_are_old() {
        let root = tempfile::tempdir().expect("temporary directory");
        let lists = root.path().join("var/lib/apt/lists");
        fs::create_dir_all(lists.join("partial")).expect("makes");
        fs::create_dir_all(root.path().join("etc/apt/sources.list.d")).expect("makes");
        assert!(lists_are_old(root.path()));
        fs::write(lists.join("deb_dists_bookworm_main_binary-amd64_Packages"), "").expect("writes");
        let age = |path: &Path, seconds: u64| {
            let time = SystemTime::now() - Duration::from_secs(seconds);
            File::open(path)
                .and_then(|file| file.set_modified(time))
                .expect("sets");
        };
        age(&root.path().join("etc/apt/sources.list.d"), 1000);
        assert!(!lists_are_old(root.path()));
        let source = root.path().join("etc/apt/sources.list.d/new.sources");
        fs::write(&source, "").expect("writes");
        age(&lists, 100);
        age(&lists.join("partial"), 100);
        assert!(lists_are_old(root.path()));
        age(&source, 1000);
        age(&root.path().join("etc/apt/sources.list.d"), 1000);
        assert!(!lists_are_old(root.path()));
        age(&lists, 100_000);
        age(&lists.join("partial"), 100_000);
        assert!(lists_are_old(root.path()));
    }
}
