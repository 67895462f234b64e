//! What a host is, read from files and the kernel; no program is started.

use std::collections::HashMap;
use std::fs;

use crate::layout::Layout;
use crate::protocol::Facts;

const MIB: u64 = 1024 * 1024;

/// Reads the facts. What cannot be read stays empty: a controller then says what it misses.
pub(crate) fn read(layout: &Layout) -> Facts {
    let text = |path: &str| fs::read_to_string(layout.at(path)).unwrap_or_default();
    let release = os_release(&text("/etc/os-release"));
    let of = |name: &str| release.get(name).cloned().unwrap_or_default();
    let kernel = rustix::system::uname();
    let disk = rustix::fs::statvfs(layout.root()).ok();
    let disk_mb = |blocks: fn(&rustix::fs::StatVfs) -> u64| {
        disk.as_ref()
            .map_or(0, |disk| blocks(disk).saturating_mul(disk.f_frsize) / MIB)
    };
    Facts {
        hostname: kernel.nodename().to_string_lossy().into_owned(),
        os: of("ID"),
        release: of("VERSION_ID"),
        codename: of("VERSION_CODENAME"),
        arch: kernel.machine().to_string_lossy().into_owned(),
        kernel: kernel.release().to_string_lossy().into_owned(),
        memory_mb: memory_kib(&text("/proc/meminfo")) / 1024,
        cpus: std::thread::available_parallelism().map_or(0, |count| count.get() as u64),
        disk_mb: disk_mb(|disk| disk.f_blocks),
        disk_free_mb: disk_mb(|disk| disk.f_bavail),
        container: is_container(layout),
        boot_id: text("/proc/sys/kernel/random/boot_id").trim().to_owned(),
        uptime_seconds: text("/proc/uptime")
            .split('.')
            .next()
            .and_then(|seconds| seconds.parse().ok())
            .unwrap_or(0),
    }
}

/// The kernel's name for this boot.
pub(crate) fn boot_id(layout: &Layout) -> String {
    fs::read_to_string(layout.at("/proc/sys/kernel/random/boot_id"))
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// Whether the host is a container.
pub(crate) fn is_container(layout: &Layout) -> bool {
    [
        "/run/systemd/container",
        "/run/host/container-manager",
        "/.dockerenv",
        "/run/.containerenv",
    ]
    .iter()
    .any(|sign| layout.at(sign).exists())
}

fn memory_kib(meminfo: &str) -> u64 {
    meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

fn os_release(text: &str) -> HashMap<String, String> {
    text.lines()
        .filter_map(|line| line.trim().split_once('='))
        .map(|(name, value)| (name.to_owned(), value.trim_matches(['"', '\'']).to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn files_about_the_host_may_hold_anything(text in "(ID=|VERSION_ID=|MemTotal:|[\"'=\\n .0-9kB]|.){0,60}") {
            for value in os_release(&text).values() {
                prop_assert!(value.len() <= text.len());
            }
            memory_kib(&text);
        }
    }

    #[test]
    fn a_debian_host_is_recognised() {
        let root = tempfile::tempdir().expect("temporary directory");
        for (path, content) in [
            (
                "etc/os-release",
                "NAME=\"Debian GNU/Linux\"\nID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n",
            ),
            ("proc/meminfo", "MemTotal:        2035748 kB\nMemFree: 1 kB\n"),
            ("proc/uptime", "125.31 99.1\n"),
            ("run/systemd/container", "systemd-nspawn"),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("has one")).expect("makes");
            fs::write(path, content).expect("writes");
        }
        let facts = read(&Layout::below(root.path()));
        assert_eq!(
            (facts.os.as_str(), facts.release.as_str(), facts.codename.as_str()),
            ("debian", "12", "bookworm")
        );
        assert_eq!(
            (facts.memory_mb, facts.uptime_seconds, facts.container),
            (1988, 125, true)
        );
        assert!(facts.disk_mb > 0 && facts.cpus > 0 && !facts.arch.is_empty());
    }

    #[test]
    fn debian_12_and_13_and_ubuntu_are_told_apart() {
        for (text, expected) in [
            (
                "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n\
                 VERSION=\"12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n",
                ("debian", "12", "bookworm"),
            ),
            (
                "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"13\"\n\
                 VERSION=\"13 (trixie)\"\nVERSION_CODENAME=trixie\nDEBIAN_VERSION_FULL=13.1\nID=debian\n",
                ("debian", "13", "trixie"),
            ),
            (
                "PRETTY_NAME=\"Ubuntu 24.04.1 LTS\"\nNAME=\"Ubuntu\"\nVERSION_ID=\"24.04\"\n\
                 VERSION=\"24.04.1 LTS (Noble Numbat)\"\nVERSION_CODENAME=noble\nID=ubuntu\nID_LIKE=debian\n\
                 UBUNTU_CODENAME=noble\n",
                ("ubuntu", "24.04", "noble"),
            ),
        ] {
            let root = tempfile::tempdir().expect("temporary directory");
            fs::create_dir_all(root.path().join("etc")).expect("makes");
            fs::write(root.path().join("etc/os-release"), text).expect("writes");
            let facts = read(&Layout::below(root.path()));
            let told = (facts.os.as_str(), facts.release.as_str(), facts.codename.as_str());
            assert_eq!(told, expected);
        }
    }

    #[test]
    fn an_empty_host_yields_empty_facts() {
        let root = tempfile::tempdir().expect("temporary directory");
        let facts = read(&Layout::below(root.path()));
        assert_eq!(
            (facts.os.as_str(), facts.memory_mb, facts.container),
            ("", 0, false)
        );
    }
}
