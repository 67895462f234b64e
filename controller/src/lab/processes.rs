//! The processes of practice hosts: finding them, proving that they are ours, and ending them.
//!
//! A process id alone proves nothing, for ids are used again. So each process is opened first (a pidfd names one process
//! for ever), then looked at, and only then gets a signal through what was opened.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::mounts;

/// What part a process plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Allmende itself, starting the host again after a reboot.
    Keeper,
    /// systemd-nspawn.
    Nspawn,
    /// The host's first process; everything in the host ends with it.
    Init,
}

/// A process of a practice host, opened.
#[derive(Debug)]
pub(super) struct Process {
    pub pid: i32,
    pub part: Part,
    /// The folder of the host that it belongs to.
    pub host: PathBuf,
    handle: OwnedFd,
}

impl Process {
    /// Sends a signal to exactly this process; one that has ended does not mind.
    pub fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.handle, signal);
    }
}

/// All processes of hosts whose folders lie in `hosts`.
pub(super) fn find(hosts: &Path) -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| *pid != std::process::id() as i32)
        .filter_map(|pid| open(pid, hosts))
        .collect()
}

/// Opens a process, then asks what it is.
fn open(pid: i32, hosts: &Path) -> Option<Process> {
    let handle = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    let (part, host) =
        from_command_line(&command_line(pid), hosts).or_else(|| Some((Part::Init, inside(pid, hosts)?)))?;
    Some(Process {
        pid,
        part,
        host,
        handle,
    })
}

/// A process's arguments; empty for kernel threads and processes that ended.
pub(super) fn command_line(pid: i32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.trim_end_matches('\0')
        .split('\0')
        .map(str::to_string)
        .collect()
}

/// Which host a keeper or an nspawn belongs to, by its arguments.
fn from_command_line(arguments: &[String], hosts: &Path) -> Option<(Part, PathBuf)> {
    let of_lab = |path: &Path| (path.parent() == Some(hosts)).then(|| path.to_path_buf());
    match arguments {
        [_, lab, keep, host] if lab == "lab" && keep == "keep" => {
            Some((Part::Keeper, of_lab(Path::new(host))?))
        }
        [program, rest @ ..] if Path::new(program).file_name()? == "systemd-nspawn" => {
            let root = rest
                .iter()
                .find_map(|argument| argument.strip_prefix("--directory="))?;
            Some((Part::Nspawn, of_lab(Path::new(root).parent()?)?))
        }
        _ => None,
    }
}

/// Which host a process is the first process of: number 1 in a process namespace of its own, with a host's overlay as its
/// root directory.
fn inside(pid: i32, hosts: &Path) -> Option<PathBuf> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    if !is_first_of_namespace(&status) {
        return None;
    }
    let root = mounts::of_process(&pid.to_string())
        .into_iter()
        .find(|m| m.point == Path::new("/") && m.kind == "overlay")?;
    let upper = Path::new(mounts::option(&root.options, "upperdir")?).to_path_buf();
    let host = upper.parent()?.parent()?;
    (host.parent() == Some(hosts)).then(|| host.to_path_buf())
}

fn is_first_of_namespace(status: &str) -> bool {
    let ids = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))
        .unwrap_or_default();
    let ids: Vec<&str> = ids.split_whitespace().collect();
    ids.len() > 1 && ids.last() == Some(&"1")
}

/// Ends all processes of the hosts that `wanted` picks, without asking them, and waits until they are gone. Gives back
/// the ids of those that are still there.
pub(super) async fn end(hosts: &Path, wanted: impl Fn(&Path) -> bool) -> Vec<i32> {
    let begin = Instant::now();
    loop {
        let all: Vec<Process> = find(hosts)
            .into_iter()
            .filter(|process| wanted(&process.host))
            .collect();
        if all.is_empty() || begin.elapsed() > Duration::from_secs(20) {
            return all.iter().map(|process| process.pid).collect();
        }
        // The keeper first, so that nothing starts again. When the host's first process ends, nspawn removes what it made
        // and ends too; it gets some seconds for that.
        for process in &all {
            if process.part != Part::Nspawn || begin.elapsed() > Duration::from_secs(4) {
                process.signal(Signal::KILL);
            } else if !all
                .iter()
                .any(|other| other.part == Part::Init && other.host == process.host)
            {
                process.signal(Signal::TERM);
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_string).collect()
    }

    #[test]
    fn only_processes_of_this_lab_are_ours() {
        let hosts = Path::new("/lab/hosts");
        let ours = from_command_line(
            &words("systemd-nspawn --quiet --directory=/lab/hosts/practice1/root --boot"),
            hosts,
        );
        assert_eq!(ours, Some((Part::Nspawn, "/lab/hosts/practice1".into())));
        let keeper = from_command_line(&words("allmende lab keep /lab/hosts/practice2"), hosts);
        assert_eq!(keeper, Some((Part::Keeper, "/lab/hosts/practice2".into())));
        for other in [
            "systemd-nspawn --directory=/lab2/hosts/practice1/root",
            "systemd-nspawn -D /lab/hosts/practice1/root",
            "vi /lab/hosts/practice1",
            "allmende lab keep /lab2/hosts/practice1",
            "",
        ] {
            assert_eq!(from_command_line(&words(other), hosts), None, "{other}");
        }
    }

    #[test]
    fn the_first_process_of_a_namespace_is_recognised() {
        assert!(is_first_of_namespace("Name:\tx\nNSpid:\t7121\t1\n"));
        assert!(!is_first_of_namespace("NSpid:\t1\n"));
        assert!(!is_first_of_namespace("NSpid:\t7121\t12\n"));
        assert!(!is_first_of_namespace(""));
    }
}
