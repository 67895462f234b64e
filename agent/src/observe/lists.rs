//! apt's lists of packages with security fixes, and dpkg's list of what is installed, read as they are: a simulated upgrade
//! would take seconds.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use super::Scene;
use crate::process::Program;

const LISTS: &str = "/var/lib/apt/lists";
const STATUS: &str = "/var/lib/dpkg/status";

/// The longest line that is read whole; longer ones don't matter.
const LINE: u64 = 16 * 1024;

/// What apt's helper prints at most, and a little less than what is kept of it.
const LARGEST_PRINTED: usize = 4 * 1024 * 1024 - 1;

/// One package in one of the lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) architecture: String,
    status: String,
}

impl Package {
    /// Whether dpkg has it installed.
    pub(super) fn is_installed(&self) -> bool {
        self.status.ends_with(" installed")
    }

    /// Whether a person keeps it from being updated.
    pub(super) fn is_held(&self) -> bool {
        self.status.starts_with("hold ")
    }
}

/// The lists of archives that hold security fixes.
pub(super) struct SecurityLists {
    paths: Vec<PathBuf>,
}

impl SecurityLists {
    /// Debian's archive calls itself so; Ubuntu's has it in the name of its suite.
    pub(super) fn find(scene: &Scene) -> Result<SecurityLists, String> {
        let entries =
            fs::read_dir(scene.layout.at(LISTS)).map_err(|error| format!("reading {LISTS}: {error}"))?;
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        let prefixes: Vec<&str> = names
            .iter()
            .filter_map(|name| {
                name.strip_suffix("InRelease")
                    .or_else(|| name.strip_suffix("_Release"))
            })
            .filter(|prefix| {
                let signed = scene.text(&format!("{LISTS}/{prefix}InRelease"));
                let text = signed.or_else(|_| scene.text(&format!("{LISTS}/{prefix}_Release")));
                text.is_ok_and(|text| is_security(&text))
            })
            .collect();
        let is_list = |name: &&String| {
            let rest = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix));
            rest.is_some_and(|rest| rest.contains("_binary-") && rest.contains("_Packages"))
        };
        Ok(SecurityLists {
            paths: names
                .iter()
                .filter(is_list)
                .map(|name| PathBuf::from(LISTS).join(name))
                .collect(),
        })
    }

    pub(super) fn count(&self) -> u64 {
        self.paths.len() as u64
    }

    /// Changes with every change of these lists and of what is installed.
    pub(super) fn stamp(&self, scene: &Scene) -> String {
        let mut stamp = String::new();
        for path in self.paths.iter().map(PathBuf::as_path).chain([STATUS.as_ref()]) {
            if let Ok(found) = fs::metadata(scene.layout.at(path)) {
                let line = format!(
                    "{} {} {}.{:09}\n",
                    path.display(),
                    found.size(),
                    found.mtime(),
                    found.mtime_nsec()
                );
                stamp.push_str(&line);
            }
        }
        stamp
    }

    /// Goes through all packages of all lists.
    pub(super) fn each(&self, scene: &Scene, mut take: impl FnMut(Package)) -> Result<(), String> {
        for path in &self.paths {
            let shown = path.display();
            let is_plain = path
                .extension()
                .is_none_or(|extension| extension.to_string_lossy().contains("Packages"));
            let read = if is_plain {
                let file =
                    File::open(scene.layout.at(path)).map_err(|error| format!("reading {shown}: {error}"))?;
                each(BufReader::with_capacity(64 * 1024, file), &mut take)
            } else {
                each(unpacked(scene, path)?.as_slice(), &mut take)
            };
            read.map_err(|error| format!("reading {shown}: {error}"))?;
        }
        Ok(())
    }
}

/// Some images have apt keep its lists compressed; apt knows how to read them.
fn unpacked(scene: &Scene, path: &std::path::Path) -> Result<Vec<u8>, String> {
    let argv = [
        "/usr/lib/apt/apt-helper".to_owned(),
        "cat-file".to_owned(),
        path.to_string_lossy().into_owned(),
    ];
    let program = Program::new(argv).timeout(scene.time_for(Duration::from_secs(15)));
    let printed = program.quietly().map_err(|error| error.to_string())?.stdout;
    if printed.len() > LARGEST_PRINTED {
        return Err(format!("{} is too large for this agent", path.display()));
    }
    Ok(printed)
}

/// What is installed, by name.
pub(super) fn installed(scene: &Scene) -> Result<HashMap<String, Vec<Package>>, String> {
    let mut packages: HashMap<String, Vec<Package>> = HashMap::new();
    let failed = |error| format!("reading {STATUS}: {error}");
    let file = File::open(scene.layout.at(STATUS)).map_err(failed)?;
    let take = &mut |package: Package| {
        if package.is_installed() {
            packages.entry(package.name.clone()).or_default().push(package);
        }
    };
    each(BufReader::with_capacity(64 * 1024, file), take).map_err(failed)?;
    Ok(packages)
}

fn is_security(release: &str) -> bool {
    let of = |name: &str| {
        let mut lines = release.lines().take(40);
        lines
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .unwrap_or_default()
            .trim()
    };
    let label = of("Label");
    let is_suite = of("Suite").ends_with("-security") || of("Codename").ends_with("-security");
    // Fixes that are sold are none that a host without a contract could install.
    label == "Debian-Security" || is_suite && !label.starts_with("UbuntuESM")
}

fn each(mut input: impl BufRead, take: &mut impl FnMut(Package)) -> std::io::Result<()> {
    let mut package = Package::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let count = input.by_ref().take(LINE).read_until(b'\n', &mut line)?;
        let text = line.trim_ascii_end();
        if text.is_empty() {
            if !package.name.is_empty() {
                take(std::mem::take(&mut package));
            }
            if count == 0 {
                return Ok(());
            }
        }
        for (field, place) in [
            (&b"Package: "[..], &mut package.name),
            (b"Version: ", &mut package.version),
            (b"Architecture: ", &mut package.architecture),
            (b"Status: ", &mut package.status),
        ] {
            if let Some(value) = text.strip_prefix(field) {
                *place = String::from_utf8_lossy(value).into_owned();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn archives_with_security_fixes_are_known_by_what_they_say_about_themselves() {
        for (release, security) in [
            (
                "Origin: Debian\nLabel: Debian-Security\nSuite: stable-security\n",
                true,
            ),
            (
                "Origin: Debian\nLabel: Debian\nSuite: stable\nCodename: bookworm\n",
                false,
            ),
            ("Origin: Ubuntu\nLabel: Ubuntu\nSuite: noble-security\n", true),
            (
                "Origin: UbuntuESM\nLabel: UbuntuESM\nSuite: jammy-infra-security\n",
                false,
            ),
            ("", false),
        ] {
            assert_eq!(is_security(release), security, "{release}");
        }
    }

    proptest! {
        #[test]
        fn lists_may_hold_anything(bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b':'), any::<u8>()], 0..300)) {
            each(bytes.as_slice(), &mut |package| assert!(!package.name.is_empty())).expect("memory can be read");
            is_security(&String::from_utf8_lossy(&bytes));
        }
    }
}
