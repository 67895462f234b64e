//! What goes into a base image, and the command that installs it.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::command::Argv;
use super::error::LabError;
use super::sources::{self, Machine, Release};

/// What a host has from the start. A real Debian server has more, but nothing that the services miss.
const PACKAGES: [&str; 13] = [
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "iproute2",
    "sudo",
    "ca-certificates",
    "procps",
    "libpam-systemd",
    "tzdata",
    "netbase",
    "iputils-ping",
    "less",
];

/// Raised when the steps after the installation change, so that old images are not used any more.
const RECIPE: u32 = 1;

/// Everything that decides what an image contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recipe {
    pub release: Release,
    pub sources: String,
    pub settings: String,
    /// Files of this machine that are copied to the same place.
    pub files: Vec<PathBuf>,
}

impl Recipe {
    /// What this machine's package sources give for a release.
    pub async fn of_machine(release: Release) -> Result<Recipe, LabError> {
        let apt = Path::new("/etc/apt");
        let next = "see what apt says about its own configuration";
        let origins = Argv::new("apt-get").args([
            "indextargets",
            "--format",
            "$(REPO_URI) $(ORIGIN)",
            "Created-By: Packages",
        ]);
        let origins = origins
            .run("asking apt whose archives it knows", next)
            .await
            .unwrap_or_default();
        let ours = sources::only_debian(sources::of_machine(apt), &origins);
        let translated = sources::translate(&ours, &Machine::here(), release)?;
        let dump = Argv::new("apt-config")
            .args(["dump", "Acquire"])
            .run("reading apt's configuration", next)
            .await?;
        let mut settings = sources::settings(&dump);
        for (variable, scheme) in [("http_proxy", "http"), ("https_proxy", "https")] {
            let name = format!("Acquire::{scheme}::Proxy ");
            if let (Ok(proxy), false) = (std::env::var(variable), settings.contains(&name)) {
                settings.push_str(&format!("{name}\"{}\";\n", proxy.replace(['"', '\n'], "")));
            }
        }
        let mut files = sources::files(&translated);
        files.push(apt.join("auth.conf"));
        files.extend(entries(&apt.join("auth.conf.d")));
        // A mirror behind a certificate authority of one's own.
        files.extend(entries(Path::new("/usr/local/share/ca-certificates")));
        files.retain(|file| file.is_file());
        Ok(Recipe {
            release,
            sources: sources::render(&translated),
            settings,
            files,
        })
    }

    /// The image's name, which changes whenever its content would.
    pub fn name(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(format!(
            "{RECIPE}\n{PACKAGES:?}\n{}\n{}\n",
            self.sources, self.settings
        ));
        for file in &self.files {
            hash.update(file.as_os_str().as_encoded_bytes());
            hash.update(fs::read(file).unwrap_or_default());
        }
        let hash: String = hash
            .finalize()
            .iter()
            .take(4)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("debian-{}-{hash}", self.release.number)
    }

    /// The command that installs the image into `target`, in a process and mount namespace of its own: when it is killed,
    /// everything that it started ends and everything that it mounted goes.
    pub fn command(&self, target: &Path, sources: &Path, settings: &Path) -> Argv {
        let mut argv = Argv::new("unshare")
            .args([
                "--mount",
                "--pid",
                "--fork",
                "--kill-child=KILL",
                "mmdebstrap",
                "--mode=root",
                "--variant=minbase",
            ])
            .args(["--format=directory", "--skip=cleanup/apt/lists"])
            .arg(format!("--include={}", PACKAGES.join(",")));
        if !self.settings.is_empty() {
            argv = argv.arg(format!("--aptopt={}", settings.display()));
        }
        for file in self
            .files
            .iter()
            .filter(|file| file.starts_with("/etc/apt/auth.conf.d"))
        {
            argv = argv.arg(format!(
                "--setup-hook=copy-in {} /etc/apt/auth.conf.d",
                file.display()
            ));
        }
        argv.arg(self.release.codename).arg(target).arg(sources)
    }
}

/// What is in a folder, sorted.
pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|e| Some(e.ok()?.path()))
        .collect();
    paths.sort();
    paths
}

/// Whether these are the arguments of the command that installs an image into this folder.
pub(super) fn is_builder(arguments: &[String], folder: &str) -> bool {
    arguments
        .first()
        .is_some_and(|program| program.ends_with("unshare"))
        && arguments.iter().any(|argument| argument == "mmdebstrap")
        && arguments.iter().any(|argument| argument.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::sources::RELEASES;

    fn recipe() -> Recipe {
        Recipe {
            release: RELEASES[0],
            sources: "Types: deb\n".into(),
            settings: "x".into(),
            files: vec!["/etc/apt/auth.conf.d/a.conf".into()],
        }
    }

    #[test]
    fn an_image_is_built_in_a_namespace_of_its_own() {
        let argv = recipe().command(
            Path::new("/c/b/root"),
            Path::new("/c/b/debian.sources"),
            Path::new("/c/b/s"),
        );
        let line = argv.line();
        assert!(
            line.starts_with("unshare --mount --pid --fork --kill-child=KILL mmdebstrap "),
            "{line}"
        );
        assert!(line.ends_with(" trixie /c/b/root /c/b/debian.sources"), "{line}");
        assert!(
            line.contains("--setup-hook=copy-in /etc/apt/auth.conf.d/a.conf"),
            "{line}"
        );
        let mut words = vec!["unshare".to_string()];
        words.extend(argv.arguments.iter().map(|a| a.to_string_lossy().into_owned()));
        assert!(is_builder(&words, "/c/b/"));
        assert!(!is_builder(&words, "/c/other/"));
        assert!(!is_builder(&[], "/c/b/"));
    }

    #[test]
    fn another_source_gives_another_image() {
        let other = Recipe {
            sources: "Types: deb \n".into(),
            ..recipe()
        };
        assert_ne!(recipe().name(), other.name());
        assert!(recipe().name().starts_with("debian-13-"));
    }
}
