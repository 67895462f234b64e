//! Whether a restart is wanted: by what packages leave behind, or because a newer kernel is installed than the one that runs.

use std::cmp::Ordering;
use std::fs;

use serde::{Deserialize, Serialize};

use super::{Finding, Observe, Scene, version};
use crate::facts;

/// Is a restart wanted?
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RebootQuestion {}

/// Whether a restart is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reboot {
    /// Since when, in seconds since 1970; none where it is not wanted.
    pub since: Option<u64>,
    /// The packages that want it, at most 20.
    pub packages: Vec<String>,
    /// A kernel that is installed and newer than the one that runs.
    pub kernel: Option<String>,
}

const SIGN: &str = "/run/reboot-required";

impl Observe for RebootQuestion {
    fn observe(&self, scene: &Scene) -> Result<Finding, String> {
        let packages = scene.text("/run/reboot-required.pkgs").unwrap_or_default();
        let mut packages: Vec<String> = packages.lines().map(|line| line.trim().to_owned()).collect();
        packages.retain(|package| !package.is_empty());
        packages.sort();
        packages.dedup();
        packages.truncate(20);
        // A container has the kernel of the machine around it.
        let kernel = (!facts::is_container(&scene.layout)).then(|| newer_kernel(scene));
        let kernel = kernel.flatten();
        let installed = kernel.as_ref().and_then(|kernel| {
            let modules = format!("/lib/modules/{kernel}/modules.dep");
            scene
                .changed(modules)
                .or_else(|| scene.changed(format!("/boot/vmlinuz-{kernel}")))
        });
        let since = [scene.changed(SIGN), installed].into_iter().flatten().min();
        Ok(Finding::Reboot(Reboot {
            since,
            packages,
            kernel,
        }))
    }
}

fn newer_kernel(scene: &Scene) -> Option<String> {
    let running = scene.text("/proc/sys/kernel/osrelease").ok()?;
    let entries = fs::read_dir(scene.layout.at("/boot")).ok()?;
    let names = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    let kernels = names.filter_map(|name| name.strip_prefix("vmlinuz-").map(str::to_owned));
    newest_above(running.trim(), kernels)
}

/// The newest of these that is newer than the one that runs and of the same flavour: `6.1.0-30-amd64` is, `6.1.0-30-rt-amd64`
/// is none that this host would start by itself.
fn newest_above(running: &str, kernels: impl Iterator<Item = String>) -> Option<String> {
    let flavour = |kernel: &str| -> String {
        let words = kernel.split('-').skip(1);
        words
            .filter(|word| word.starts_with(|first: char| first.is_ascii_alphabetic()))
            .collect()
    };
    let newer = |kernel: &String| {
        flavour(kernel) == flavour(running) && version::compare(kernel, running) == Ordering::Greater
    };
    kernels
        .filter(newer)
        .max_by(|one, other| version::compare(one, other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_of_another_flavour_is_no_reason_to_restart() {
        let newest = |running: &str, there: &[&str]| {
            newest_above(running, there.iter().map(|kernel| (*kernel).to_owned()))
        };
        let there = [
            "6.1.0-9-amd64",
            "6.1.0-28-amd64",
            "6.1.0-30-amd64",
            "6.1.0-31-rt-amd64",
        ];
        assert_eq!(
            newest("6.1.0-28-amd64", &there).as_deref(),
            Some("6.1.0-30-amd64")
        );
        assert_eq!(newest("6.1.0-30-amd64", &there), None);
        assert_eq!(
            newest("6.12.48+deb13-amd64", &["6.12.57+deb13-amd64"]).as_deref(),
            Some("6.12.57+deb13-amd64")
        );
        assert_eq!(newest("", &there), None);
    }
}
