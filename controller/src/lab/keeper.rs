//! The keeper: a process of Allmende that stays beside each running host and starts it again when it reboots.
//!
//! systemd-nspawn leaves a reboot to whoever started it (it ends with 133), and on a machine where systemd is not the
//! first process nobody else would do it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::command::Argv;
use super::error::LabError;
use super::host;
use super::mounts;
use super::registry::Names;

/// How nspawn ends when its host wants to boot again.
const REBOOT: i32 = 133;

/// The command that starts a keeper: this very program, also when its file was replaced meanwhile. Its arguments are how
/// `lab down` knows it again.
pub(super) fn command(folder: &Path) -> Argv {
    Argv::new("/proc/self/exe").args(["lab", "keep"]).arg(folder)
}

/// Starts a keeper that outlives this command and holds nothing of its terminal.
pub(super) fn start(names: &Names, number: u32) -> Result<tokio::process::Child, LabError> {
    let path = names.log(number);
    let log = open_log(&path).and_then(|log| Ok((log.try_clone()?, log)));
    let (out, err) = log.map_err(LabError::file("opening the log", &path))?;
    let argv = command(&names.host(number));
    let mut command = argv.command();
    command
        .arg0("allmende")
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .current_dir("/");
    command.spawn().map_err(|error| LabError::Command {
        attempt: "starting a practice host".into(),
        program: argv.line(),
        outcome: format!("could not be started ({error})"),
        stderr: String::new(),
        next: "try again".into(),
    })
}

fn open_log(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

/// Runs a host until it is switched off. This is what the hidden command `lab keep FOLDER` does; nobody else calls it.
///
/// # Errors
/// When nspawn cannot be started, or ends otherwise than by a clean shutdown.
pub fn keep(folder: &Path) -> Result<(), LabError> {
    // Fails only when this process leads a session already, which is just as well.
    let _ = rustix::process::setsid();
    let (names, number) = host::from_folder(folder)?;
    let unified = unified_hierarchy();
    if let (Some(group), false) = (&unified, under_systemd()) {
        // Hosts that share a control group would see and empty each other's.
        let group = group
            .join(format!("allmende-lab-{}", names.id))
            .join(names.machine(number));
        fs::create_dir_all(&group).map_err(LabError::file("making the control group", &group))?;
        let processes = group.join("cgroup.procs");
        fs::write(&processes, std::process::id().to_string())
            .map_err(LabError::file("entering", &processes))?;
    }
    let argv = host::nspawn_command(&names, number, under_systemd(), unified.is_some());
    loop {
        let begin = Instant::now();
        let failed = |outcome: String| LabError::Command {
            attempt: "running a practice host".into(),
            program: argv.line(),
            outcome,
            stderr: String::new(),
            next: "read the lines above".into(),
        };
        let mut command: Command = argv.command().into_std();
        let status = command
            .stdin(Stdio::null())
            .status()
            .map_err(|e| failed(format!("could not be started ({e})")))?;
        host::clear_runtime(&names, number);
        if status.success() {
            return Ok(());
        }
        if status.code() != Some(REBOOT) {
            return Err(failed(format!("ended with {status}")));
        }
        // A host that reboots at once, again and again, shall not take the machine with it.
        std::thread::sleep(Duration::from_secs(2).saturating_sub(begin.elapsed()));
    }
}

/// Whether systemd is this machine's first process, so that nspawn can get a scope for its host from it.
fn under_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Where the second version of control groups is mounted. Hosts get that one alone: Debian 13 boots with nothing else.
pub(super) fn unified_hierarchy() -> Option<PathBuf> {
    mounts::of_process("self")
        .into_iter()
        .find(|mount| mount.kind == "cgroup2")
        .map(|mount| mount.point)
}

/// Removes the lab's control groups. The processes of a host that was just ended may take a moment to leave theirs.
pub(super) async fn remove_groups(names: &Names) {
    for _ in 0..100 {
        let groups = groups(names);
        if groups.is_empty() {
            return;
        }
        groups.iter().for_each(|group| remove_tree(group));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn remove_tree(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().filter_map(Result::ok) {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    // One that is still in use stays, and `lab down` says so.
    let _ = fs::remove_dir(group);
}

/// The lab's control groups that are still there. Where the machine has both versions, nspawn makes each group in the
/// hierarchy of the first version's systemd as well.
pub(super) fn groups(names: &Names) -> Vec<PathBuf> {
    mounts::of_process("self")
        .into_iter()
        .filter(|mount| mount.kind.starts_with("cgroup"))
        .map(|mount| mount.point.join(format!("allmende-lab-{}", names.id)))
        .filter(|group| group.exists())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keeper_is_known_by_its_arguments() {
        assert_eq!(
            command(Path::new("/lab/hosts/practice1")).line(),
            "/proc/self/exe lab keep /lab/hosts/practice1"
        );
    }
}
