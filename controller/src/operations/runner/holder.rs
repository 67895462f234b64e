//! Who holds a job: a process that can be found again, or found gone.

use std::fs;
use std::time::Duration;

use crate::store::Claim;

/// A process of some machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    text: String,
    identity: String,
}

impl Holder {
    /// This very process.
    pub fn this_process() -> Self {
        let pid = std::process::id();
        let host = read("/proc/sys/kernel/hostname");
        Self {
            text: format!("process {pid} on {host}"),
            identity: format!(
                "{} {} {pid} {}",
                machine(),
                boot(),
                start_time(pid).unwrap_or_default()
            ),
        }
    }

    /// What it says to the store when it takes a job, or keeps it.
    pub fn claim(&self, lease: Duration) -> Claim<'_> {
        Claim {
            holder: &self.text,
            identity: &self.identity,
            lease,
        }
    }

    /// What finds it again.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Whether the process with this identity is provably gone. Of other machines nothing can be known from here.
    pub fn is_gone(identity: &str) -> bool {
        let mut parts = identity.split(' ');
        let (Some(machine_then), Some(boot_then), Some(pid), Some(start)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return false;
        };
        if machine_then.is_empty() || machine_then != machine() {
            return false;
        }
        if boot_then != boot() {
            return true;
        }
        match pid.parse() {
            Ok(pid) => match start_time(pid) {
                Some(now) => now != start,
                None => !exists(pid),
            },
            Err(_) => false,
        }
    }
}

#[cfg(test)]
impl Holder {
    /// A process of this machine that is no more.
    pub fn of_an_ended_process() -> Self {
        let mut child = std::process::Command::new("true").spawn().expect("started");
        let pid = child.id();
        child.wait().expect("ended");
        Self {
            text: format!("process {pid} on this machine"),
            identity: format!("{} {} {pid} 1", machine(), boot()),
        }
    }
}

/// Whether there is such a process, even one of somebody else whose `/proc` entry is hidden.
fn exists(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

fn machine() -> String {
    let id = read("/etc/machine-id");
    if id.is_empty() {
        // Containers may have no machine-id; their name has to do.
        read("/proc/sys/kernel/hostname")
    } else {
        id
    }
}

fn boot() -> String {
    read("/proc/sys/kernel/random/boot_id")
}

/// When a living process began, in clock ticks since the boot: field 22 of `/proc/PID/stat`, counted behind the name, which
/// may hold anything. For one that was killed and that only its parent's inattention keeps listed, "dead".
fn start_time(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let behind_name = stat.rsplit_once(')')?.1;
    let mut fields = behind_name.split_whitespace();
    match fields.next()? {
        "Z" | "X" => Some("dead".to_owned()),
        _ => fields.nth(18).map(str::to_owned),
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .replace(' ', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_an_ended_one_is_gone() {
        let own = Holder::this_process();
        assert!(!Holder::is_gone(&own.identity));
        assert!(Holder::is_gone(&Holder::of_an_ended_process().identity));
        let before_the_boot = own.identity.replace(&boot(), "another-boot");
        assert!(Holder::is_gone(&before_the_boot));
        assert!(!Holder::is_gone("another-machine boot 1 1"));
        assert!(!Holder::is_gone("nonsense"));
    }

    #[test]
    fn a_killed_process_is_gone_before_its_parent_looks() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .expect("started");
        let pid = child.id();
        let started = start_time(pid).expect("it lives");
        let identity = format!("{} {} {pid} {started}", machine(), boot());
        assert!(!Holder::is_gone(&identity));
        child.kill().expect("killed");
        while start_time(pid).as_deref() != Some("dead") {
            std::thread::yield_now();
        }
        assert!(Holder::is_gone(&identity));
        child.wait().expect("ended");
    }
}
